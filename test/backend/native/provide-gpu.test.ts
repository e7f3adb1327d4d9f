import { mkdir, mkdtemp, readdir, readFile, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type ProvideNativeOptions, provideNative } from '../../../src/backend/native/provide-native.js'
import { ProgramError, type Run } from '../../../src/backend/native/run-program.js'
import { argument, type FakeProgram, fakeRun, trialReport } from './installing-programs.js'

let parent: string
let folder: string
let calls: string[]
let stages: string[]

beforeEach(async () => {
  parent = await realpath(await mkdtemp(join(tmpdir(), 'provide-gpu-')))
  folder = join(parent, 'native')
  calls = []
  stages = []
})

afterEach(() => rm(parent, { recursive: true }))

const H100 = 'NVIDIA H100 80GB HBM3'
/** TensorFlow's words, in both forms of its log, on a machine whose GPU it takes. */
const made = (index: number, name: string, capability: string): string =>
  `I0000 00:00:1732536178.463247   12345 gpu_device.cc:2019] Created device /job:localhost/replica:0/task:0/device:GPU:${index} with 78756 MB memory:  -> device: ${index}, name: ${name}, pci bus id: 0000:0${index + 1}:00.0, compute capability: ${capability}`
const always = [
  'WARNING: All log messages before absl::InitializeLog() is called are written to STDERR',
  'E0000 00:00:1732536177.112233   12345 cuda_dnn.cc:8579] Unable to register cuDNN factory: Attempting to register factory for plugin cuDNN when one has already been registered',
  '2026-11-28 12:00:00.123456: I tensorflow/core/platform/cpu_feature_guard.cc:210] This TensorFlow binary is optimized to use available CPU instructions in performance-critical operations.',
  'I0000 00:00:1732536177.9   12345 cuda_executor.cc:1015] successful NUMA node read from SysFS had negative value (-1), but there must be at least one NUMA node',
]
const fallsBack = [
  ...always,
  "W0000 00:00:1732536178.1   12345 dso_loader.cc:70] Could not load dynamic library 'libcudnn.so.9'; dlerror: libcudnn.so.9: cannot open shared object file: No such file or directory",
  'W0000 00:00:1732536178.2   12345 gpu_device.cc:2341] Cannot dlopen some GPU libraries. Please make sure the missing libraries mentioned above are installed properly if you would like to use GPU.',
  'Skipping registering GPU devices...',
]

/** The wheels that the fake TensorFlow's metadata names, with a library or more each. */
const cudaWheels: Record<string, readonly string[]> = {
  'nvidia-cublas-cu12': ['cublas/lib/libcublas.so.12', 'cublas/lib/libcublasLt.so.12'],
  'nvidia-cuda-nvrtc-cu12': ['cuda_nvrtc/lib/libnvrtc.so.12'],
  'nvidia-cuda-runtime-cu12': ['cuda_runtime/lib/libcudart.so.12'],
  'nvidia-cudnn-cu12': ['cudnn/lib/libcudnn.so.9', 'cudnn/lib/libcudnn_ops.so.9'],
  'nvidia-cufft-cu12': ['cufft/lib/libcufft.so.11'],
  'nvidia-cusolver-cu12': ['cusolver/lib/libcusolver.so.11'],
  'nvidia-cusparse-cu12': ['cusparse/lib/libcusparse.so.12'],
  'nvidia-nccl-cu12': ['nccl/lib/libnccl.so.2'],
  'nvidia-nvjitlink-cu12': ['nvjitlink/lib/libnvJitLink.so.12'],
}
const metadata = [
  'Name: tensorflow',
  'Requires-Dist: numpy>=1.26.0',
  'Provides-Extra: and-cuda',
  'Requires-Dist: nvidia-cuda-nvcc-cu12<13.0,>=12.5.82; extra == "and-cuda"',
  ...Object.keys(cudaWheels).map(name => `Requires-Dist: ${name}<13.0,>=12.5; extra == "and-cuda"`),
].join('\n')

/** A machine with a GPU of NVIDIA's, and what differs from it in a test. */
interface Machine {
  /** What libcuda says. */
  readonly driver?: object
  /** What nvidia-smi prints; nothing where it is not there. */
  readonly smi?: string
  /** Libraries that are there, by name. */
  readonly libraries?: (name: string) => { path: string } | { failure: string }
  /** What the process of a trial prints. */
  readonly trial?: (folder: string) => Promise<string>
  readonly wheels?: Record<string, readonly string[]>
  readonly metadata?: string
}

const notThere = (name: string): { failure: string } => ({
  failure: `${name}: cannot open shared object file: No such file or directory`,
})
const onGpu = async (): Promise<string> =>
  [...always, made(0, H100, '9.0'), trialReport({ usesGpu: true })].join('\n')
const onProcessor = async (): Promise<string> => [...fallsBack, trialReport({})].join('\n')

function machine({
  driver = { version: 12040, devices: [H100] },
  smi = '550.54.14\n',
  libraries = notThere,
  trial = onGpu,
  wheels = cudaWheels,
  metadata: said = metadata,
}: Machine = {}): Record<string, FakeProgram> {
  const unpack = async (wheel: string, target: string): Promise<void> => {
    const name = basename(wheel, '.whl')
    const files =
      name === 'tensorflow'
        ? ['tensorflow/libtensorflow_cc.so.2', 'tensorflow/libtensorflow_framework.so.2']
        : (wheels[name] ?? []).map(file => `nvidia/${file}`)
    for (const file of files) {
      await mkdir(join(target, file, '..'), { recursive: true })
      await writeFile(join(target, file), name)
    }
    if (name !== 'tensorflow') return
    await mkdir(join(target, 'tensorflow-2.21.0.dist-info'))
    await writeFile(join(target, 'tensorflow-2.21.0.dist-info/METADATA'), said)
  }
  return {
    'nvidia-smi': async () => {
      if (smi === '') throw new ProgramError('nvidia-smi cannot be run: spawn nvidia-smi ENOENT')
      return smi
    },
    'python3 -c': async ([, script = '', ...rest]) => {
      if (script.includes('libcuda.so.1')) return JSON.stringify(driver)
      if (!script.includes('zipfile'))
        return JSON.stringify(Object.fromEntries(rest.map(name => [name, libraries(name)])))
      await unpack(rest[0] ?? '', rest[1] ?? '')
      return ''
    },
    'python3 -m pip download': async args => {
      const target = argument(args, '--dest')
      await mkdir(target)
      for (const requirement of args.slice(args.indexOf('--dest') + 2))
        await writeFile(join(target, `${/^[\w-]+/.exec(requirement)?.[0]}.whl`), '')
      return ''
    },
    'node --import': args => trial((JSON.parse(args.at(-1) ?? '') as { folder: string }).folder),
  }
}

const silent: typeof fetch = async () => {
  throw new TypeError('fetch failed')
}

function provide(
  programs: Record<string, FakeProgram>,
  options: ProvideNativeOptions = {},
): ReturnType<typeof provideNative> {
  return provideNative({
    dir: folder,
    gpu: true,
    run: fakeRun(calls, {}, programs),
    fetch: silent,
    freeBytes: async () => 1e11,
    env: {},
    onStage: stage => void stages.push(stage),
    ...options,
  })
}

const packageFolder = 'node_modules/@tensorflow/tfjs-node-gpu'
const listed = async (): Promise<string[]> =>
  JSON.parse(await readFile(join(folder, packageFolder, 'deps/cuda-libraries.json'), 'utf8'))

/** The word of pip for each wheel that it was asked for. */
function fetched(): string[] {
  return calls
    .filter(call => call.startsWith('python3 -m pip download'))
    .flatMap(call => call.split(' ').filter(word => /^(tensorflow|nvidia)/.test(word)))
}

/** A CPU build in the folder, as an earlier call left it. */
async function earlierBuild(): Promise<void> {
  await provide({}, { gpu: false })
  calls = []
  stages = []
}

async function refusal(
  programs: Record<string, FakeProgram>,
  options?: ProvideNativeOptions,
): Promise<string> {
  const error = await provide(programs, options).catch((reason: Error) => reason)
  return error instanceof Error ? error.message : 'it was provided'
}

describe('a GPU that computes', () => {
  test('the addon is built against TensorFlow for CUDA, and the GPU that it takes is named', async () => {
    expect(await provide(machine())).toEqual({
      packageName: '@tensorflow/tfjs-node-gpu',
      gpu: true,
      tensorflow: '2.21.0',
      device: `${H100}, compute capability 9.0`,
      source: 'built',
      folder,
      already: false,
    })
    expect(stages).toEqual([
      'asking for an NVIDIA driver',
      `driver for CUDA 12.4 shows ${H100}`,
      'fetching @tensorflow/tfjs-node-gpu 4.22.0',
      'fetching the library of tensorflow 2.21.*',
      'unpacking the library',
      'compiling the addon',
      "looking for CUDA's libraries",
      'fetching the libraries of CUDA 12 (9 wheels, about 3 GB)',
      "unpacking CUDA's libraries",
      'trying it',
    ])
    expect((await readdir(folder)).sort()).toEqual(['native.json', 'node_modules', 'package.json'])
    expect(await readdir(parent)).toEqual(['native'])
  })

  test("CUDA's libraries come from the wheels that TensorFlow names, without its compiler, each after what it needs", async () => {
    await provide(machine())
    const requirements = Object.keys(cudaWheels).map(name => `${name}<13.0,>=12.5`)
    expect(fetched()).toEqual(['tensorflow==2.21.*', ...requirements])
    expect(await listed()).toEqual(
      [
        'cuda_runtime/lib/libcudart.so.12',
        'nvjitlink/lib/libnvJitLink.so.12',
        'cublas/lib/libcublasLt.so.12',
        'cublas/lib/libcublas.so.12',
        'cufft/lib/libcufft.so.11',
        'cusparse/lib/libcusparse.so.12',
        'cusolver/lib/libcusolver.so.11',
        'cuda_nvrtc/lib/libnvrtc.so.12',
        'cudnn/lib/libcudnn.so.9',
        'nccl/lib/libnccl.so.2',
      ].map(path => `deps/nvidia/${path}`),
    )
  })

  test("this machine's libraries are used where TensorFlow computes with them", async () => {
    const libraries = (name: string) =>
      name === 'libcurand.so.10' ? notThere(name) : { path: `/usr/local/cuda/lib64/${name}` }
    await provide(machine({ libraries }))
    expect(fetched()).toEqual(['tensorflow==2.21.*'])
    const paths = await listed()
    expect(paths[0]).toBe('/usr/local/cuda/lib64/libcudart.so.12')
    expect(paths).toHaveLength(11)
  })

  test("libraries are fetched where TensorFlow does not compute with this machine's", async () => {
    const libraries = (name: string) => ({ path: `/opt/old/${name}` })
    const trial = async (tried: string): Promise<string> =>
      (await readFile(join(tried, 'deps/cuda-libraries.json'), 'utf8')).includes('/opt/old')
        ? onProcessor()
        : onGpu()
    expect((await provide(machine({ libraries, trial }))).device).toBe(`${H100}, compute capability 9.0`)
    expect(stages).toContain("TensorFlow does not compute with this machine's CUDA libraries")
    expect((await listed())[0]).toBe('deps/nvidia/cuda_runtime/lib/libcudart.so.12')
  })

  test('of several GPUs the last is named, which tfjs-node takes', async () => {
    const devices = ['NVIDIA A100-SXM4-40GB', 'NVIDIA T4']
    const trial = async () =>
      [
        made(0, 'NVIDIA A100-SXM4-40GB', '8.0'),
        made(1, 'NVIDIA T4', '7.5'),
        trialReport({ usesGpu: true }),
      ].join('\n')
    const provided = await provide(machine({ driver: { version: 13000, devices }, trial }))
    expect(provided.device).toBe('NVIDIA T4, compute capability 7.5')
    expect(stages).toContain('driver for CUDA 13.0 shows NVIDIA A100-SXM4-40GB, NVIDIA T4')
  })

  test('the published addon is not asked for, though its host answers', async () => {
    const asked: string[] = []
    const answering: typeof fetch = async url => {
      asked.push(String(url))
      return new Response()
    }
    expect((await provide(machine(), { fetch: answering })).source).toBe('built')
    expect(asked).toEqual([])
  })

  test('the published addon is taken where nothing can be built, and CUDA 11 is there for it', async () => {
    const eleven = (name: string) =>
      /libcudart\.so\.11|libcudnn\.so\.8/.test(name) ? { path: `/usr/lib/${name}` } : notThere(name)
    const broken = { 'c++': 'no', 'g++': 'no', clang: 'no' }
    const fetchOfficial = async () => new Response()
    const official = machine({ libraries: eleven })
    const provided = await provide(official, {
      run: fakeRun(calls, broken, official),
      fetch: fetchOfficial,
    })
    expect(provided).toMatchObject({ source: 'official', device: `${H100}, compute capability 9.0` })
    await rm(folder, { recursive: true })
    const twelve = machine()
    const options = { run: fakeRun(calls, broken, twelve), fetch: fetchOfficial }
    expect(await refusal(twelve, options)).toContain('a C++ compiler must be installed')
  })
})

describe('a GPU build that is there', () => {
  test('is kept where it computes on a GPU now, and serves a call without --gpu', async () => {
    await provide(machine())
    calls = []
    expect(await provide(machine())).toMatchObject({
      already: true,
      device: `${H100}, compute capability 9.0`,
    })
    expect(fetched()).toEqual([])
    expect(await provide(machine(), { gpu: false })).toMatchObject({ already: true, gpu: true })
  })

  test('is provided anew where it computes on the processor; where that fails it stays', async () => {
    await provide(machine())
    stages = []
    let trials = 0
    const trial = () => (trials++ === 0 ? onProcessor() : onGpu())
    expect(await provide(machine({ trial }))).toMatchObject({ already: false })
    expect(stages).toContain('the present one does not compute on a GPU')
    expect(await refusal(machine({ trial: onProcessor }))).toContain('must compute on a GPU')
    expect(await provide(machine())).toMatchObject({ already: true })
    expect(await readdir(parent)).toEqual(['native'])
  })
})

describe('what is refused before anything is fetched', () => {
  const must = 'provideNative: an NVIDIA driver for CUDA 12.0 or later must be installed, got '
  const nothing = 'libcuda.so.1: cannot open shared object file: No such file or directory'
  const refusals: [name: string, machine: Machine, env: Record<string, string>, got: string][] = [
    [
      'no driver',
      { driver: { missing: nothing }, smi: '' },
      {},
      `none: ${nothing}; nvidia-smi cannot be run: spawn nvidia-smi ENOENT`,
    ],
    ['a container that shows nvidia-smi alone', { driver: { missing: nothing } }, {}, `none: ${nothing}`],
    [
      'a driver that does not run',
      {
        driver: {
          version: 12040,
          failure: 'cuInit gives 803 CUDA_ERROR_SYSTEM_DRIVER_MISMATCH, system has unsupported mix',
        },
        smi: 'Failed to initialize NVML: Driver/library version mismatch\n',
      },
      {},
      'one for CUDA 12.4 that fails: cuInit gives 803 CUDA_ERROR_SYSTEM_DRIVER_MISMATCH, system has unsupported mix',
    ],
    [
      'a driver that is too old',
      { driver: { version: 11040, devices: ['Tesla K80'] }, smi: '470.256.02\n' },
      {},
      '470.256.02 for CUDA 11.4',
    ],
    [
      'an old driver without nvidia-smi',
      { driver: { version: 11080, devices: ['Tesla K80'] }, smi: '' },
      {},
      'one for CUDA 11.8',
    ],
    [
      'GPUs that are hidden',
      { driver: { version: 12040, failure: 'cuInit gives 100 CUDA_ERROR_NO_DEVICE, no device is detected' } },
      { CUDA_VISIBLE_DEVICES: '' },
      "550.54.14 for CUDA 12.4 that fails: cuInit gives 100 CUDA_ERROR_NO_DEVICE, no device is detected (CUDA_VISIBLE_DEVICES is '')",
    ],
    [
      'a list of GPUs without one of this machine',
      { driver: { version: 12040, devices: [] } },
      { CUDA_VISIBLE_DEVICES: '7' },
      "550.54.14 for CUDA 12.4 without a GPU that this process may use (CUDA_VISIBLE_DEVICES is '7')",
    ],
  ]
  test.each(refusals)('%s', async (_, broken, env, got) => {
    await earlierBuild()
    expect(await refusal(machine(broken), { env })).toBe(must + got)
    expect(calls.map(call => call.split(' ')[0])).toEqual(['nvidia-smi', 'python3'])
    expect(await readFile(join(folder, 'native.json'), 'utf8')).toContain('"gpu": false')
    expect(await readdir(parent)).toEqual(['native'])
  })

  test('no Python to ask with', async () => {
    const run = fakeRun(calls, { python3: 'python3 cannot be run: spawn python3 ENOENT' }, machine())
    expect(await refusal({}, { run })).toBe(
      'provideNative: python3 must ask the NVIDIA driver, got: python3 cannot be run: spawn python3 ENOENT (on Debian: apt install python3-pip)',
    )
  })

  test('too little disk space for TensorFlow and CUDA, in GB', async () => {
    expect(await refusal(machine(), { freeBytes: async () => 9.4e9 })).toBe(
      `provideNative: free disk space must be at least 10.0 GB, got 9.4 GB (${parent})`,
    )
    expect(fetched()).toEqual([])
  })
})

describe('a failure leaves the earlier build', () => {
  const failures: [name: string, machine: Machine, message: string][] = [
    [
      'TensorFlow falls back to the processor: its reasons, without what it always says',
      { trial: onProcessor },
      "provideNative: TensorFlow 2.21.0 must compute on a GPU, got the processor; TensorFlow says: Could not load dynamic library 'libcudnn.so.9'; dlerror: libcudnn.so.9: cannot open shared object file: No such file or directory | Cannot dlopen some GPU libraries. Please make sure the missing libraries mentioned above are installed properly if you would like to use GPU.",
    ],
    [
      'a GPU that TensorFlow thinks too old, in the old form of the log',
      {
        trial: async () =>
          `2026-11-28 12:00:00.1: I tensorflow/core/common_runtime/gpu/gpu_device.cc:1990] Ignoring visible gpu device (device: 0, name: GeForce GTX 960, pci bus id: 0000:01:00.0, compute capability: 5.2) with compute capability 5.2. The minimum required Cuda capability is 6.0.\n${trialReport({})}`,
      },
      'TensorFlow says: Ignoring visible gpu device (device: 0, name: GeForce GTX 960, pci bus id: 0000:01:00.0, compute capability: 5.2) with compute capability 5.2. The minimum required Cuda capability is 6.0.',
    ],
    [
      'it says nothing',
      { trial: async () => trialReport({}) },
      'got the processor; TensorFlow says nothing of the reason',
    ],
    [
      'a wrong product on the GPU',
      { trial: async () => trialReport({ usesGpu: true, convolution: [0, 0, 0, 0] }) },
      'provideNative: the addon must compute 19,22,43,50,4,4,4,4 in its trial, got 19,22,43,50,0,0,0,0',
    ],
    [
      'it dies on the way: the last lines, and what TensorFlow said',
      {
        trial: async () => {
          const log =
            'E0000 00:00:1732536178.1   12345 cuda_dnn.cc:522] Loaded runtime CuDNN library: 9.1.0 but source was compiled with: 9.3.0.'
          throw new ProgramError('node ended with 1: Error: DNN library is not found', `${log}\nmore`)
        },
      },
      'provideNative: the addon must load and compute, got: node ended with 1: Error: DNN library is not found; TensorFlow says: Loaded runtime CuDNN library: 9.1.0 but source was compiled with: 9.3.0.',
    ],
    [
      'a wheel of CUDA without its library',
      { wheels: { ...cudaWheels, 'nvidia-cudnn-cu12': [], 'nvidia-cufft-cu12': [] } },
      "provideNative: CUDA's wheels must hold every library of TensorFlow's, got none of libcufft.so.11, libcudnn.so.9",
    ],
    [
      'a wheel of TensorFlow that names no CUDA',
      { metadata: 'Name: tensorflow\nRequires-Dist: numpy>=1.26.0\n' },
      "provideNative: TensorFlow's wheel must name CUDA's wheels as its extra and-cuda, got none of them",
    ],
  ]
  test.each(failures)('%s', async (_, broken, message) => {
    await earlierBuild()
    expect(await refusal(machine(broken))).toContain(message)
    expect(await readFile(join(folder, 'native.json'), 'utf8')).toContain('"gpu": false')
    expect(await readdir(parent)).toEqual(['native'])
  })

  test('a wheel of CUDA that cannot be had is named', async () => {
    const programs = machine()
    const run: Run = async (command, args, options) => {
      if (args.includes('download') && args.some(word => word.startsWith('nvidia')))
        throw new ProgramError('No matching distribution found for nvidia-cudnn-cu12')
      return fakeRun(calls, {}, programs)(command, args, options)
    }
    expect(await refusal(programs, { run })).toMatch(
      /^provideNative: pip must download nvidia-cublas-cu12<13\.0,>=12\.5, .*, got: No matching distribution found for nvidia-cudnn-cu12$/,
    )
    expect(await readdir(parent)).toEqual([])
  })

  test('a stop at any stage leaves what was there', async () => {
    await earlierBuild()
    const count = await provide(machine(), { dir: join(parent, 'other') }).then(() => calls.length)
    await rm(join(parent, 'other'), { recursive: true })
    for (let last = 1; last <= count; last++) {
      const stopped = new AbortController()
      calls = []
      const run = fakeRun(calls, {}, machine())
      const stopping: Run = async (command, args, options) => {
        const result = await run(command, args, options)
        if (calls.length === last) stopped.abort(new Error('stopped'))
        return result
      }
      expect(await refusal({}, { run: stopping, signal: stopped.signal })).toBe('stopped')
      expect(await readdir(parent)).toEqual(['native'])
    }
  })
})
