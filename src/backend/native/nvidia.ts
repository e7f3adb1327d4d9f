import { existsSync } from 'node:fs'
import * as z from 'zod'
import { ProgramError, type Run } from './run-program.js'

/** A driver of NVIDIA's and the GPUs that it shows this process. */
export interface NvidiaDriver {
  /** Release of the driver, such as 550.54.14; undefined where nvidia-smi does not say it. */
  readonly release?: string
  /** The newest CUDA that it runs, such as 12.4. */
  readonly cuda: string
  /** The GPUs that CUDA_VISIBLE_DEVICES leaves, in CUDA's order. */
  readonly devices: readonly string[]
}

/** What is done to find the driver. */
interface Search {
  readonly run: Run
  readonly signal?: AbortSignal | undefined
  readonly env?: Readonly<Record<string, string | undefined>>
}

/** A broken driver may keep those that ask waiting. */
const PATIENCE_MS = 60_000

/**
 * Asks the driver itself, through libcuda, for the CUDA that it runs and for its GPUs.
 *
 * @param major the CUDA that is needed: later minor versions of the driver's CUDA run it, too
 * @throws Error where there is no driver, no GPU that this process may use, or only an older CUDA
 */
export async function requireNvidiaDriver(major: number, search: Search): Promise<NvidiaDriver> {
  const { visible, smi, probe } = await askDriver(search)
  const refuse = (got: string): Error =>
    new Error(`provideNative: an NVIDIA driver for CUDA ${major}.0 or later must be installed, got ${got}`)
  if (probe.missing !== undefined)
    throw refuse(`none: ${[probe.missing, smi.failure].filter(Boolean).join('; ')}`)
  const cuda = probe.version === undefined ? 'unknown' : cudaText(probe.version)
  const driver = smi.release === undefined ? `one for CUDA ${cuda}` : `${smi.release} for CUDA ${cuda}`
  // An old driver may fail for its age, so this is said first.
  if (probe.version !== undefined && probe.version < major * 1000) throw refuse(driver)
  if (probe.failure !== undefined) throw refuse(`${driver} that fails: ${probe.failure}${visible}`)
  if (probe.devices.length === 0) throw refuse(`${driver} without a GPU that this process may use${visible}`)
  return { ...(smi.release !== undefined && { release: smi.release }), cuda, devices: probe.devices }
}

async function askDriver({ run, signal, env = process.env }: Search) {
  const limits = { signal, timeoutMs: PATIENCE_MS }
  const visible =
    env.CUDA_VISIBLE_DEVICES === undefined ? '' : ` (CUDA_VISIBLE_DEVICES is '${env.CUDA_VISIBLE_DEVICES}')`
  const smi = await run('nvidia-smi', SMI_QUERY, limits).then(smiRelease, (cause: unknown): SmiAnswer => {
    signal?.throwIfAborted()
    return { failure: firstLine(cause) }
  })
  const printed = await run('python3', ['-c', PROBE], limits).catch((cause: unknown) => {
    signal?.throwIfAborted()
    throw new Error(
      `provideNative: python3 must ask the NVIDIA driver, got: ${firstLine(cause)} (on Debian: apt install python3-pip)`,
      { cause },
    )
  })
  return { visible, smi, probe: probeSchema.parse(JSON.parse(printed)) }
}

const SMI_QUERY = ['--query-gpu=driver_version', '--format=csv,noheader']

interface SmiAnswer {
  readonly release?: string
  readonly failure?: string
}

function smiRelease(printed: string): SmiAnswer {
  const release = /^\d+(\.\d+)+$/m.exec(printed.trim())?.[0]
  return release === undefined ? { failure: `nvidia-smi: ${printed.trim()}` } : { release }
}

function firstLine(cause: unknown): string {
  return (cause instanceof Error ? cause.message : String(cause)).split('\n')[0] ?? ''
}

/** CUDA writes 12.4 as 12040. */
function cudaText(version: number): string {
  return `${Math.floor(version / 1000)}.${Math.floor((version % 1000) / 10)}`
}

const probeSchema = z.object({
  missing: z.string().optional(),
  version: z.int().optional(),
  failure: z.string().optional(),
  devices: z.array(z.string()).default([]),
})

/** Python: what libcuda says, as JSON: `missing`, or `version`, and then `failure` or the names of `devices`. */
const PROBE = `
import ctypes, json
def ask():
    try:
        cuda = ctypes.CDLL('libcuda.so.1')
    except OSError as error:
        return {'missing': str(error)}
    said = {}
    version, count, device = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    if cuda.cuDriverGetVersion(ctypes.byref(version)) == 0:
        said['version'] = version.value
    def failed(call, code):
        if code == 0:
            return False
        name, text = ctypes.c_char_p(), ctypes.c_char_p()
        cuda.cuGetErrorName(code, ctypes.byref(name))
        cuda.cuGetErrorString(code, ctypes.byref(text))
        words = [(word.value or b'').decode() for word in (name, text)]
        said['failure'] = call + ' gives ' + str(code) + ' ' + ', '.join(words)
        return True
    if failed('cuInit', cuda.cuInit(0)) or failed('cuDeviceGetCount', cuda.cuDeviceGetCount(ctypes.byref(count))):
        return said
    said['devices'] = []
    for index in range(count.value):
        label = ctypes.create_string_buffer(256)
        if failed('cuDeviceGet', cuda.cuDeviceGet(ctypes.byref(device), index)):
            return said
        if failed('cuDeviceGetName', cuda.cuDeviceGetName(label, 256, device)):
            return said
        said['devices'].append(label.value.decode(errors='replace'))
    return said
print(json.dumps(ask()))
`

/** Where a driver of NVIDIA's leaves a file: on Linux, in Windows' Linux, on Windows. */
const DRIVER_FILES = [
  '/proc/driver/nvidia/version',
  '/usr/lib/wsl/lib/libcuda.so.1',
  'C:\\Windows\\System32\\nvcuda.dll',
]

/** Whether a driver of NVIDIA's is installed, as far as files show it, and this process may use a GPU. */
export function hasNvidiaDriver(
  env: Readonly<Record<string, string | undefined>> = process.env,
  files: readonly string[] = DRIVER_FILES,
): boolean {
  // CUDA takes the GPUs before the first number that is none.
  const isHidden = /^\s*(-|$)/.test(env.CUDA_VISIBLE_DEVICES ?? '0')
  return !isHidden && files.some(file => existsSync(file))
}

/** The GPUs of this machine with the driver's release, a line each, as nvidia-smi names them; empty where it does not run. */
export async function nvidiaGpus(run: Run): Promise<string[]> {
  try {
    const query = ['--query-gpu=name,driver_version', '--format=csv,noheader']
    const printed = await run('nvidia-smi', query, { timeoutMs: PATIENCE_MS })
    const lines = printed.trim().split('\n')
    return lines.flatMap(line => {
      const [, name, release] = /^(.+), (\d+(?:\.\d+)+)$/.exec(line.trim()) ?? []
      return name && release ? [`${name}, driver ${release}`] : []
    })
  } catch (error) {
    if (error instanceof ProgramError) return []
    throw error
  }
}
