import { mkdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join, relative } from 'node:path'
import { type PackageInstallation, unmet } from './installation.js'
import { NODE_API_VERSION } from './native.js'
import { type NativeTrial, tryInstalled } from './trial.js'

const HEAD_TIMEOUT_MS = 5_000
const OFFICIAL_INSTALL_TIMEOUT_MS = 600_000

/**
 * Puts the npm package and what it needs into the stage, beside links to this process's tfjs; without its addon.
 *
 * @returns the package's folder
 */
export async function installPackage(work: PackageInstallation): Promise<string> {
  const { stage, packageName } = work
  const require = createRequire(import.meta.url)
  const core = require.resolve('@tensorflow/tfjs-core/package.json')
  const { version } = JSON.parse(await readFile(core, 'utf8')) as { version: string }
  work.onStage(`fetching ${packageName} ${version}`)
  const unpacked = await unpackPackage(work, `${packageName}@${version}`)
  const { dependencies } = await readManifest(unpacked)
  const { '@tensorflow/tfjs': tfjs, ...others } = dependencies
  const missingTfjs = folderOf('@tensorflow/tfjs', require) === undefined && { '@tensorflow/tfjs': tfjs }
  // The addon needs Node's C headers, which not every installation of Node brings.
  const manifest = {
    private: true,
    dependencies: { ...others, ...missingTfjs, 'node-api-headers': '^1.9.0' },
  }
  await writeFile(join(stage, 'package.json'), JSON.stringify(manifest))
  const quietly = ['--no-package-lock', '--no-audit', '--no-fund', '--silent']
  await runNpm(work, ['install', '--ignore-scripts', ...quietly])
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

async function unpackPackage(work: PackageInstallation, specifier: string): Promise<string> {
  const { stage, run, signal } = work
  const unpacked = join(stage, 'package')
  await mkdir(unpacked, { recursive: true })
  const packed = await runNpm(work, ['pack', '--silent', '--pack-destination', stage, specifier])
  const tarball = join(stage, packed.trim().split('\n').at(-1) ?? '')
  await run('tar', ['-xzf', tarball, '-C', unpacked, '--strip-components=1'], { signal }).catch(cause => {
    throw unmet('tar must unpack the package', cause)
  })
  await rm(tarball)
  return unpacked
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

async function runNpm({ run, stage, signal }: PackageInstallation, args: string[]): Promise<string> {
  return run('npm', args, { cwd: stage, signal }).catch(cause => {
    throw unmet('npm must fetch the packages', cause, 'is the npm registry within reach?')
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

/**
 * The published addon: the package's own install script, where the download host that it names answers.
 *
 * @returns undefined where that gives nothing that works
 */
export async function installOfficial(
  work: PackageInstallation,
  folder: string,
): Promise<NativeTrial | undefined> {
  if (!(await officialAnswers(work, folder))) return undefined
  work.onStage('downloading the published addon')
  try {
    const limits = { cwd: folder, signal: work.signal, timeoutMs: OFFICIAL_INSTALL_TIMEOUT_MS }
    await work.run('npm', ['run', 'install'], limits)
    return await tryInstalled(work, folder)
  } catch {
    work.signal?.throwIfAborted()
    await removeAddon(folder)
    return undefined
  }
}

/** Removes the addon of an installed package, and its libraries. */
export async function removeAddon(folder: string): Promise<void> {
  await Promise.all(['deps', 'lib'].map(part => rm(join(folder, part), { recursive: true, force: true })))
}

/** Whether the download host that the package names has a compiled addon for this machine. */
async function officialAnswers(work: PackageInstallation, folder: string): Promise<boolean> {
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
