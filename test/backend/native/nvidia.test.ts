import { copyFile, mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { findCudaLibraries } from '../../../src/backend/native/cuda-libraries.js'
import type { PackageInstallation } from '../../../src/backend/native/installation.js'
import { hasNvidiaDriver, nvidiaGpus, requireNvidiaDriver } from '../../../src/backend/native/nvidia.js'
import { ProgramError, type Run, runProgram } from '../../../src/backend/native/run-program.js'

let folder: string

beforeAll(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), 'nvidia-')))
})

afterAll(() => rm(folder, { recursive: true }))

const canCompile = await runProgram('c++', ['--version'], {}).then(
  () => true,
  () => false,
)

/** Compiles C into a library. */
async function library(path: string, source: string): Promise<void> {
  await mkdir(join(path, '..'), { recursive: true })
  await writeFile(`${path}.c`, source)
  await runProgram('c++', ['-x', 'c', '-shared', '-fPIC', `${path}.c`, '-o', path], {})
}

/** Runs programs that find libraries in a folder first. */
const withLibraries =
  (libraries: string): Run =>
  (command, args, options) =>
    runProgram(command, args, { ...options, env: { LD_LIBRARY_PATH: libraries } })

// Python itself asks libraries that stand for NVIDIA's.
describe.runIf(canCompile)('Python', () => {
  const driver = (version: number, init: number, names: readonly string[]): string => `
    #include <string.h>
    static const char* names[] = {${[...names, ''].map(name => JSON.stringify(name)).join()}};
    int cuDriverGetVersion(int* version) { *version = ${version}; return 0; }
    int cuInit(unsigned flags) { return ${init}; }
    int cuDeviceGetCount(int* count) { *count = ${names.length}; return 0; }
    int cuDeviceGet(int* device, int index) { *device = index; return 0; }
    int cuDeviceGetName(char* name, int length, int device) { strncpy(name, names[device], length); return 0; }
    int cuGetErrorName(int code, const char** name) { *name = "CUDA_ERROR_NO_DEVICE"; return 0; }
    int cuGetErrorString(int code, const char** text) { *text = "no CUDA-capable device is detected"; return 0; }`

  test('asks libcuda for its CUDA and for the names of its GPUs', async () => {
    const libraries = join(folder, 'works')
    await library(join(libraries, 'libcuda.so.1'), driver(12080, 0, ['NVIDIA L4', 'NVIDIA T4']))
    const run = withLibraries(libraries)
    expect(await requireNvidiaDriver(12, { run, env: {} })).toMatchObject({
      cuda: '12.8',
      devices: ['NVIDIA L4', 'NVIDIA T4'],
    })
    await expect(requireNvidiaDriver(13, { run, env: {} })).rejects.toThrow(
      /must be installed, got (one|[\d.]+) for CUDA 12\.8$/,
    )
  })

  test('gives the words of libcuda where it fails', async () => {
    const libraries = join(folder, 'fails')
    await library(join(libraries, 'libcuda.so.1'), driver(12040, 100, []))
    const search = { run: withLibraries(libraries), env: { CUDA_VISIBLE_DEVICES: '-1' } }
    await expect(requireNvidiaDriver(12, search)).rejects.toThrow(
      "for CUDA 12.4 that fails: cuInit gives 100 CUDA_ERROR_NO_DEVICE, no CUDA-capable device is detected (CUDA_VISIBLE_DEVICES is '-1')",
    )
  })

  test("finds CUDA's libraries where the loader does, by their paths, and says which are missing", async () => {
    const libraries = join(folder, 'cuda')
    await library(join(libraries, 'libcudart.so.12'), 'int answer(void) { return 42; }')
    const found = ['libcublasLt.so.12', 'libcublas.so.12', 'libcudnn.so.9', 'libcurand.so.10']
    for (const name of found) await copyFile(join(libraries, 'libcudart.so.12'), join(libraries, name))
    const work = { run: withLibraries(libraries) } as unknown as PackageInstallation
    const { paths, missing } = await findCudaLibraries(work)
    const own = paths.filter(path => path.startsWith(libraries))
    expect(own).toEqual(['libcudart.so.12', ...found].map(name => join(libraries, name)))
    // A machine may have the others.
    for (const name of missing) expect(name).toMatch(/^lib(nvJitLink|cufft|cusparse|cusolver|nvrtc)\.so/)
  })
})

test('nvidia-smi names the GPUs and their driver; where it does not run there are none', async () => {
  const printing =
    (printed: string): Run =>
    async () =>
      printed
  const two = 'NVIDIA H100 80GB HBM3, 550.54.14\nNVIDIA A100-SXM4-40GB, 550.54.14\n'
  expect(await nvidiaGpus(printing(two))).toEqual([
    'NVIDIA H100 80GB HBM3, driver 550.54.14',
    'NVIDIA A100-SXM4-40GB, driver 550.54.14',
  ])
  expect(await nvidiaGpus(printing('No devices were found\n'))).toEqual([])
  const failing: Run = async () => {
    throw new ProgramError('nvidia-smi ended with 9: NVIDIA-SMI has failed')
  }
  expect(await nvidiaGpus(failing)).toEqual([])
})

test.each([
  [undefined, true],
  ['0', true],
  ['1,0', true],
  ['GPU-8932f937', true],
  ['', false],
  ['-1', false],
  [' -1,0', false],
])('a driver shows a GPU unless CUDA_VISIBLE_DEVICES, %s, hides all', async (visible, expected) => {
  const file = join(folder, 'version')
  await writeFile(file, '')
  expect(hasNvidiaDriver({ CUDA_VISIBLE_DEVICES: visible }, [join(folder, 'nothing'), file])).toBe(expected)
  expect(hasNvidiaDriver({ CUDA_VISIBLE_DEVICES: visible }, [join(folder, 'nothing')])).toBe(false)
})
