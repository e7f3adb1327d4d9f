import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import * as z from 'zod'
import type { PackageInstallation } from './installation.js'
import { CUDA_LIST } from './native.js'
import { fetchWheels, unpackWheel } from './wheel.js'

/** CUDA that the library in the wheel is built with. */
export const CUDA_MAJOR = 12

/** CUDA's libraries by the names that TensorFlow opens, each after those that it needs itself. */
const LIBRARIES = [
  'libcudart.so.12',
  'libnvJitLink.so.12',
  'libcublasLt.so.12',
  'libcublas.so.12',
  'libcufft.so.11',
  'libcusparse.so.12',
  'libcusolver.so.11',
  'libnvrtc.so.12',
  'libcudnn.so.9',
]
/** Those that it opens where they are there: random numbers, profiling, several GPUs. */
const OPTIONAL_LIBRARIES = ['libcurand.so.10', 'libcupti.so.12', 'libnccl.so.2']

/** CUDA's libraries on this machine. */
export interface CudaSearch {
  /** Paths of those that were found. */
  readonly paths: readonly string[]
  /** Why each of the others does not open; the necessary ones. */
  readonly missing: readonly string[]
}

/** Opens CUDA's libraries as TensorFlow would, then in the usual folders and among Python's packages. */
export async function findCudaLibraries({ run, signal }: PackageInstallation): Promise<CudaSearch> {
  const names = [...LIBRARIES, ...OPTIONAL_LIBRARIES]
  const printed = await run('python3', ['-c', FIND, ...names], { signal })
  const opened = searchSchema.parse(JSON.parse(printed))
  return {
    paths: names.flatMap(name => opened[name]?.path ?? []),
    missing: LIBRARIES.flatMap(name => opened[name]?.failure ?? (opened[name] ? [] : [name])),
  }
}

/** The published addon's TensorFlow is built with CUDA 11.2: whether its libraries are there. */
export async function hasOfficialCuda({ run, signal }: PackageInstallation): Promise<boolean> {
  const names = ['libcudart.so.11.0', 'libcudnn.so.8']
  const printed = await run('python3', ['-c', FIND, ...names], { signal })
  const opened = searchSchema.parse(JSON.parse(printed))
  return names.every(name => opened[name]?.path !== undefined)
}

const searchSchema = z.record(
  z.string(),
  z.object({ path: z.string().optional(), failure: z.string().optional() }),
)

/**
 * Python: opens libraries of the names argv[1:], in this order, and prints as JSON the `path` of each, or the loader's
 * words on its `failure`.
 */
const FIND = `
import ctypes, glob, json, os, sys, sysconfig
home = os.environ.get('CUDA_HOME') or '/usr/local/cuda'
packages = sysconfig.get_paths()['purelib']
folders = [home + '/lib64', home + '/extras/CUPTI/lib64', home + '/targets/x86_64-linux/lib']
folders += sorted(glob.glob(packages + '/nvidia/*/lib'))
def path_of(name):
    with open('/proc/self/maps') as maps:
        for line in maps:
            path = line.rstrip('\\n').partition('/')[2]
            if path.split('/')[-1].startswith(name):
                return '/' + path
def opened(name):
    failure = ''
    for place in [name] + [folder + '/' + name for folder in folders if os.path.exists(folder + '/' + name)]:
        try:
            ctypes.CDLL(place)
            return {'path': path_of(name) or place}
        except OSError as error:
            failure = failure or str(error)
    return {'failure': failure}
print(json.dumps({name: opened(name) for name in sys.argv[1:]}))
`

/**
 * Downloads CUDA's libraries as the wheels that TensorFlow's wheel names for them, into `deps/nvidia`, where its own
 * paths lead.
 *
 * @param metadata of TensorFlow's wheel
 * @returns the libraries' paths
 * @throws Error where a wheel cannot be had, or where a necessary library is in none
 */
export async function bringCudaLibraries(
  work: PackageInstallation,
  folder: string,
  metadata: string,
): Promise<string[]> {
  const requirements = cudaRequirements(metadata)
  if (requirements.length === 0)
    throw new Error(
      "provideNative: TensorFlow's wheel must name CUDA's wheels as its extra and-cuda, got none of them",
    )
  work.onStage(`fetching the libraries of CUDA ${CUDA_MAJOR} (${requirements.length} wheels, about 3 GB)`)
  const wheels = await fetchWheels(work, requirements)
  work.onStage("unpacking CUDA's libraries")
  const deps = join(folder, 'deps')
  await mkdir(deps, { recursive: true })
  for (const wheel of wheels) await unpackWheel(work, wheel, deps, ['nvidia/*/lib/*.so*'])
  const files = await readdir(deps, { recursive: true, encoding: 'utf8' })
  const pathOf = (name: string): string[] => {
    const file = files.find(path => path.endsWith(`/${name}`) && path.startsWith('nvidia'))
    return file === undefined ? [] : [join(deps, file)]
  }
  const missing = LIBRARIES.filter(name => pathOf(name).length === 0)
  if (missing.length > 0)
    throw new Error(
      `provideNative: CUDA's wheels must hold every library of TensorFlow's, got none of ${missing.join(', ')}`,
    )
  return [...LIBRARIES, ...OPTIONAL_LIBRARIES].flatMap(pathOf)
}

/** The wheels of CUDA's libraries that the metadata of TensorFlow's wheel asks for; its compiler is not needed. */
function cudaRequirements(metadata: string): string[] {
  const named = [...metadata.matchAll(/^Requires-Dist: *([^;\n]+?) *;[^\n]*extra *== *["']and-cuda["']/gm)]
  return named
    .map(([, requirement = '']) => requirement.replace(/[\s()]/g, ''))
    .filter(requirement => requirement.startsWith('nvidia-') && !/^nvidia-cuda-nvcc/.test(requirement))
}

/** Notes which libraries are opened before TensorFlow; those in the package's folder by relative paths, since it moves. */
export async function noteCudaLibraries(folder: string, paths: readonly string[]): Promise<void> {
  const own = `${folder}/`
  const noted = paths.map(path => (path.startsWith(own) ? relative(folder, path) : path))
  await writeFile(join(folder, CUDA_LIST), `${JSON.stringify(noted, undefined, 2)}\n`)
}
