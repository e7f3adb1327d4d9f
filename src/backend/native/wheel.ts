import { readdir, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { type PackageInstallation, unmet } from './installation.js'

/** Only libraries and headers of wheels are used, so this Python's wheel will do where the running Python has none. */
const OTHER_PYTHON = ['--python-version', '3.12']

/** Refuses a machine without Python and pip, which fetch and unpack wheels. */
export async function requirePip({ run, signal }: PackageInstallation): Promise<void> {
  await run('python3', ['-m', 'pip', '--version'], { signal }).catch(cause => {
    throw unmet('python3 with pip must be installed', cause, 'on Debian: apt install python3-pip')
  })
}

/**
 * Downloads wheels from PyPI, without what they depend on, into a folder of the stage.
 *
 * @returns their paths
 * @throws Error where one of them cannot be had
 */
export async function fetchWheels(
  { run, signal, stage }: PackageInstallation,
  requirements: readonly string[],
): Promise<string[]> {
  const folder = join(stage, 'download')
  const args = ['-m', 'pip', 'download', '--no-deps', '--only-binary=:all:', '--quiet', '--dest', folder]
  const names = requirements.join(', ')
  await run('python3', [...args, ...requirements], { signal })
    .catch(() => run('python3', [...args, ...OTHER_PYTHON, ...requirements], { signal }))
    .catch(cause => {
      throw unmet(`pip must download ${names}`, cause)
    })
  const wheels = (await readdir(folder)).filter(file => file.endsWith('.whl'))
  if (wheels.length < requirements.length) {
    const got = wheels.length === 0 ? 'none' : wheels.join(', ')
    throw new Error(`provideNative: pip must download a wheel of ${names}, got ${got} (${folder})`)
  }
  return wheels.map(name => join(folder, name))
}

/** Unpacks the files of a wheel whose paths have one of these forms, and removes the wheel. */
export async function unpackWheel(
  { run, signal }: PackageInstallation,
  wheel: string,
  folder: string,
  forms: readonly string[],
): Promise<void> {
  await run('python3', ['-c', UNPACK, wheel, folder, ...forms], { signal }).catch(cause => {
    throw unmet('python3 must unpack the wheel', cause)
  })
  await rm(wheel)
  if ((await readdir(dirname(wheel))).length === 0) await rm(dirname(wheel), { recursive: true })
}

/** Python: unpacks the files of the wheel argv[1] with paths of the forms argv[3:] into the folder argv[2]. */
const UNPACK = `
import fnmatch, sys, zipfile
wheel = zipfile.ZipFile(sys.argv[1])
names = [n for n in wheel.namelist() if any(fnmatch.fnmatchcase(n, form) for form in sys.argv[3:])]
wheel.extractall(sys.argv[2], names)
`
