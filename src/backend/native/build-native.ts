import { mkdir, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join, relative } from 'node:path'
import { MUTE_ADDON, type NativePackage, type ProvidedNative } from './native.js'
import { ProgramError, type Run } from './run-program.js'

/** The TensorFlow whose wheel the addon is built against. */
const WHEEL_VERSION = '2.21.*'
/** Only the library in the wheel is used, so this Python's wheel will do where the running Python has none. */
const OTHER_PYTHON = ['--python-version', '3.12']
const HEAD_TIMEOUT_MS = 5_000
const OFFICIAL_INSTALL_TIMEOUT_MS = 600_000
const NODE_API_VERSION = 8

/** What every stage of an installation works with. */
export interface Installation {
  /** The folder to fill. */
  readonly stage: string
  readonly gpu: boolean
  readonly signal: AbortSignal | undefined
  /** Called with the name of each stage as it begins. */
  readonly onStage: (stage: string) => void
  readonly run: Run
  readonly fetch: typeof fetch
}

interface Work extends Installation {
  readonly packageName: NativePackage
}

/**
 * Fills a folder with tfjs-node: the published package where its download host answers, otherwise its addon compiled
 * against the TensorFlow library in PyPI's wheel; tried in a process of its own.
 *
 * @throws Error when a tool or a download is missing, or when the result does not compute
 */
export async function installNative(installation: Installation): Promise<ProvidedNative> {
  const { gpu, onStage } = installation
  const packageName = gpu ? '@tensorflow/tfjs-node-gpu' : '@tensorflow/tfjs-node'
  const work: Work = { ...installation, packageName }
  const folder = await installPackage(work)
  if (await officialAnswers(work, folder)) {
    const tensorflow = await installOfficial(work, folder)
    if (tensorflow) return { packageName, gpu, tensorflow, source: 'official' }
  }
  await buildAddon(work, folder)
  await tidyStage(work)
  onStage('trying it')
  return { packageName, gpu, tensorflow: await tryAddon(work, folder), source: 'built' }
}

/** Puts the npm package and what it needs into the temporary folder, beside links to this process's tfjs. */
async function installPackage(work: Work): Promise<string> {
  const { stage, packageName, run, signal } = work
  const require = createRequire(import.meta.url)
  const core = require.resolve('@tensorflow/tfjs-core/package.json')
  const { version } = JSON.parse(await readFile(core, 'utf8')) as { version: string }
  const unpacked = join(stage, 'package')
  await mkdir(unpacked, { recursive: true })
  work.onStage(`fetching ${packageName} ${version}`)
  const specifier = `${packageName}@${version}`
  const packed = await runNpm(work, ['pack', '--silent', '--pack-destination', stage, specifier])
  const tarball = join(stage, packed.trim().split('\n').at(-1) ?? '')
  await run('tar', ['-xzf', tarball, '-C', unpacked, '--strip-components=1'], { signal }).catch(cause => {
    throw explain('tar must unpack the package', cause)
  })
  await rm(tarball)
  const { dependencies } = await readManifest(unpacked)
  const { '@tensorflow/tfjs': tfjs, ...others } = dependencies
  const missingTfjs = folderOf('@tensorflow/tfjs', require) === undefined && { '@tensorflow/tfjs': tfjs }
  // The addon needs Node's C headers, which not every installation of Node brings.
  const manifest = {
    private: true,
    dependencies: { ...others, ...missingTfjs, 'node-api-headers': '^1.9.0' },
  }
  await writeFile(join(stage, 'package.json'), JSON.stringify(manifest))
  await runNpm(work, [
    'install',
    '--ignore-scripts',
    '--no-package-lock',
    '--no-audit',
    '--no-fund',
    '--silent',
  ])
  // npm removes what its manifest does not list, so the package itself comes last.
  const folder = join(stage, 'node_modules', packageName)
  await mkdir(dirname(folder), { recursive: true })
  await rename(unpacked, folder)
  for (const name of sharedPackages) {
    const target = folderOf(name, require)
    if (target === undefined) continue
    const path = join(stage, 'node_modules', name)
    await rm(path, { recursive: true, force: true })
    await symlink(relative(dirname(path), target), path, 'dir')
  }
  return folder
}

/** tfjs-node imports all of tfjs, of which the parts that this process uses must be the same. */
const sharedPackages = [
  '@tensorflow/tfjs',
  '@tensorflow/tfjs-core',
  '@tensorflow/tfjs-layers',
  '@tensorflow/tfjs-backend-cpu',
]

/** The folder of an installed npm package; undefined where it is not installed. */
function folderOf(name: string, require: NodeJS.Require): string | undefined {
  try {
    return dirname(require.resolve(`${name}/package.json`))
  } catch {
    return undefined
  }
}

async function runNpm({ run, stage, signal }: Work, args: string[]): Promise<string> {
  return run('npm', args, { cwd: stage, signal }).catch(cause => {
    throw explain('npm must fetch the packages', cause, 'is the npm registry within reach?')
  })
}

interface Manifest {
  readonly version: string
  readonly dependencies: Readonly<Record<string, string>>
  readonly binary: { readonly host: string; readonly remote_path: string }
}

async function readManifest(folder: string): Promise<Manifest> {
  return JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as Manifest
}

/** Whether the download host that the package names has a compiled addon for this machine. */
async function officialAnswers(work: Work, folder: string): Promise<boolean> {
  work.onStage('asking for the published addon')
  const { binary, version } = await readManifest(folder)
  try {
    const name = await work.run(process.execPath, ['scripts/get-addon-name.js'], {
      cwd: folder,
      signal: work.signal,
    })
    const path = binary.remote_path
      .replace('{napi_build_version}', String(NODE_API_VERSION))
      .replace('{version}', version)
    const url = `${binary.host}/${path.replace(/^\.\//, '')}${name.trim()}`
    const limits = [AbortSignal.timeout(HEAD_TIMEOUT_MS), ...(work.signal ? [work.signal] : [])]
    const answer = await work.fetch(url, {
      method: 'HEAD',
      signal: AbortSignal.any(limits),
    })
    return answer.ok
  } catch {
    work.signal?.throwIfAborted()
    return false
  }
}

/** Runs the package's own install script; undefined where that gives nothing that works. */
async function installOfficial(work: Work, folder: string): Promise<string | undefined> {
  work.onStage('downloading the published addon')
  try {
    const limits = { cwd: folder, signal: work.signal, timeoutMs: OFFICIAL_INSTALL_TIMEOUT_MS }
    await work.run('npm', ['run', 'install'], limits)
    work.onStage('trying it')
    return await tryAddon(work, folder)
  } catch {
    work.signal?.throwIfAborted()
    await Promise.all(['deps', 'lib'].map(part => rm(join(folder, part), { recursive: true, force: true })))
    return undefined
  }
}

async function buildAddon(work: Work, folder: string): Promise<void> {
  const compiler = await findCompiler(work)
  const wheel = await fetchWheel(work)
  work.onStage('unpacking the library')
  const libraries = join(folder, 'deps/lib')
  const unpacked = join(work.stage, 'wheel')
  await mkdir(libraries, { recursive: true })
  await work.run('python3', ['-c', UNPACK, wheel, unpacked], { signal: work.signal }).catch(cause => {
    throw explain('python3 must unpack the wheel', cause)
  })
  await rm(dirname(wheel), { recursive: true })
  for (const library of LIBRARIES)
    await rename(join(unpacked, 'tensorflow', library), join(libraries, library))
  work.onStage('compiling the addon')
  await compileAddons(work, compiler, folder, join(unpacked, 'tensorflow/include'))
}

/** Compiles tfjs-node's addon, and beside it the small one that keeps the library's start-up log off the terminal. */
async function compileAddons(work: Work, compiler: string, folder: string, headers: string): Promise<void> {
  const output = join(folder, `lib/napi-v${NODE_API_VERSION}`)
  await mkdir(output, { recursive: true })
  const binding = join(folder, 'binding')
  const mute = join(binding, 'mute.cc')
  const sources = (await readdir(binding))
    .filter(name => name.endsWith('.cc'))
    .map(name => join(binding, name))
  const libraries = LIBRARIES.map(library => `-l:${library}`)
  const linked = [`-L${join(folder, 'deps/lib')}`, ...libraries, '-Wl,-rpath,$ORIGIN/../../deps/lib']
  await writeFile(mute, MUTE_SOURCE)
  await compile(work, compiler, [`-I${headers}`, ...sources, ...linked], join(output, 'tfjs_binding.node'))
  await compile(work, compiler, [mute], join(output, MUTE_ADDON))
}

async function compile(
  { run, signal, stage }: Work,
  compiler: string,
  inputs: string[],
  output: string,
): Promise<void> {
  const nodeHeaders = join(stage, 'node_modules/node-api-headers/include')
  const defines = [`-DNAPI_VERSION=${NODE_API_VERSION}`, '-DBUILDING_NODE_EXTENSION']
  const args = [
    '-std=c++17',
    '-O2',
    '-fPIC',
    '-shared',
    ...defines,
    `-I${nodeHeaders}`,
    ...inputs,
    '-o',
    output,
  ]
  await run(compiler, args, { signal }).catch(cause => {
    throw explain(`${compiler} must compile the addon`, cause)
  })
}

const LIBRARIES = ['libtensorflow_cc.so.2', 'libtensorflow_framework.so.2']

/** Python: unpacks the headers and the two libraries out of the wheel argv[1] into the folder argv[2]. */
const UNPACK = `
import sys, zipfile
wheel = zipfile.ZipFile(sys.argv[1])
wanted = ['tensorflow/' + name for name in ${JSON.stringify(LIBRARIES)}]
names = [n for n in wheel.namelist() if n in wanted or n.startswith('tensorflow/include/')]
wheel.extractall(sys.argv[2], names)
`

async function findCompiler({ run, signal }: Work): Promise<string> {
  if (process.platform !== 'linux') {
    throw new Error(
      `provideNative: the platform must be linux where the published addon cannot be had, got ${process.platform}`,
    )
  }
  const names = [...(process.env.CXX ? [process.env.CXX] : []), 'c++', 'g++', 'clang++']
  for (const name of names) {
    try {
      await run(name, ['--version'], { signal })
      return name
    } catch {
      signal?.throwIfAborted()
    }
  }
  throw new Error(
    `provideNative: a C++ compiler must be installed, got none of ${names.join(', ')} (on Debian: apt install g++)`,
  )
}

async function fetchWheel(work: Work): Promise<string> {
  const { run, signal, stage, gpu } = work
  await run('python3', ['-m', 'pip', '--version'], { signal }).catch(cause => {
    throw explain('python3 with pip must be installed', cause, 'on Debian: apt install python3-pip')
  })
  const name = gpu ? 'tensorflow' : 'tensorflow-cpu'
  work.onStage(`fetching the library of ${name} ${WHEEL_VERSION}`)
  const folder = join(stage, 'download')
  const args = ['-m', 'pip', 'download', '--no-deps', '--only-binary=:all:', '--quiet', '--dest', folder]
  const requirement = `${name}==${WHEEL_VERSION}`
  await run('python3', [...args, requirement], { signal })
    .catch(() => run('python3', [...args, ...OTHER_PYTHON, requirement], { signal }))
    .catch(cause => {
      throw explain(`pip must download ${requirement}`, cause)
    })
  const wheel = (await readdir(folder)).find(file => file.endsWith('.whl'))
  if (!wheel) throw new Error(`provideNative: pip must download a wheel of ${name}, got none (${folder})`)
  return join(folder, wheel)
}

/** The library logs while it loads, before its settings take effect, so standard error is redirected during that time. */
const MUTE_SOURCE = `
#include <fcntl.h>
#include <node_api.h>
#include <unistd.h>

static int kept = -1;

static napi_value Mute(napi_env, napi_callback_info) {
  int nowhere = open("/dev/null", O_WRONLY);
  if (kept < 0 && nowhere >= 0 && (kept = dup(2)) >= 0) dup2(nowhere, 2);
  if (nowhere >= 0) close(nowhere);
  return nullptr;
}

static napi_value Unmute(napi_env, napi_callback_info) {
  if (kept >= 0) {
    dup2(kept, 2);
    close(kept);
    kept = -1;
  }
  return nullptr;
}

NAPI_MODULE_INIT() {
  napi_value mute, unmute;
  napi_create_function(env, "mute", NAPI_AUTO_LENGTH, Mute, nullptr, &mute);
  napi_create_function(env, "unmute", NAPI_AUTO_LENGTH, Unmute, nullptr, &unmute);
  napi_set_named_property(env, exports, "mute", mute);
  napi_set_named_property(env, exports, "unmute", unmute);
  return exports;
}
`

async function tidyStage({ stage }: Work): Promise<void> {
  for (const leftover of ['wheel', 'node_modules/node-api-headers']) {
    await rm(join(stage, leftover), { recursive: true, force: true })
  }
}

/** Loads the addon in a process of its own, multiplies two matrices, and returns TensorFlow's version. */
async function tryAddon({ run, signal }: Work, folder: string): Promise<string> {
  const args = ['-e', TRY, folder]
  const printed = await run(process.execPath, args, { signal }).catch(cause => {
    throw explain('the addon must load and compute', cause)
  })
  const [, product, version] = /product=(\S+) version=(\S+)/.exec(printed) ?? []
  if (product === '19,22,43,50' && version) return version
  throw new Error(`provideNative: the addon's product must be 19,22,43,50, got ${product ?? printed.trim()}`)
}

const TRY = `
const util = require('util')
util.isNullOrUndefined ??= value => value == null
util.isArray ??= Array.isArray
process.env.TF_CPP_MIN_LOG_LEVEL = '2'
const tf = require(process.argv[1])
const product = tf.matMul([[1, 2], [3, 4]], [[5, 6], [7, 8]]).dataSync()
console.log('product=' + Array.from(product) + ' version=' + tf.backend().binding.TF_Version)
`

function explain(requirement: string, cause: unknown, hint?: string): Error {
  if (!(cause instanceof ProgramError)) return cause as Error
  return new Error(`provideNative: ${requirement}, got: ${cause.message}${hint ? ` (${hint})` : ''}`, {
    cause,
  })
}
