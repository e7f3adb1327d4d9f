import { createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import { tfConfig } from '../../src/cluster/launch.js'
import { type StartedProcess, startProcess, startTypeScript } from '../child-processes.js'
import type { SmallTraining, TrainedHere } from './training-program.js'

const program = fileURLToPath(new URL('./training-program.ts', import.meta.url))

/** One thread each: the numbers of a sum depend on how many there are. */
export const oneThread = { TF_NUM_INTRAOP_THREADS: '1', TF_NUM_INTEROP_THREADS: '1' }

/** A training of few steps with experts that choose patches. */
export const smallTraining: SmallTraining = {
  network: 'pmoe',
  images: 40,
  heartbeat: 60,
  options: {
    epochs: 4,
    batchSize: 8,
    seed: 3,
    optimizer: { name: 'momentum', learningRate: 0.02, momentum: 0.9, clipNorm: 1, l2: 0.0005 },
    emaDecay: 0.9,
    loadBalance: 0.01,
    diversity: 0.01,
    labelSmoothing: 0.1,
  },
}

/**
 * A training without choices, which rounding could turn: 43 images in batches of 8, so that the last batch has 3, of which one worker has
 * 1.
 */
export const raggedTraining: SmallTraining = {
  ...smallTraining,
  network: 'plain',
  images: 43,
  options: { ...smallTraining.options, loadBalance: 0, diversity: 0 },
}

/** Addresses of 127.0.0.1 that nobody uses now. */
export async function freeAddresses(count: number): Promise<string[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'))
  await Promise.all(
    servers.map(server => server.listening || new Promise(resolve => server.once('listening', resolve))),
  )
  const addresses = servers.map(server => `127.0.0.1:${(server.address() as { readonly port: number }).port}`)
  await Promise.all(servers.map(server => new Promise(resolve => server.close(resolve))))
  return addresses
}

/**
 * Starts one worker of a small training.
 *
 * @param before the words of a program that runs it
 */
export function startWorker(
  addresses: readonly string[],
  index: number,
  training: SmallTraining,
  before: readonly [] | readonly [program: string, ...words: string[]] = [],
): StartedProcess {
  const env = { ...oneThread, TF_CONFIG: tfConfig(addresses, index) }
  const words = [program, JSON.stringify(training)]
  if (before.length === 0) return startTypeScript(words, { env })
  const [runner, ...others] = before
  const node = [process.execPath, '--import', import.meta.resolve('tsx')]
  return startProcess(runner as string, [...others, ...node, ...words], { env })
}

/** Starts all workers of a small training, each with what differs for it. */
export async function startWorkers(
  count: number,
  training: SmallTraining,
  differing: readonly Partial<SmallTraining>[] = [],
): Promise<StartedProcess[]> {
  const addresses = await freeAddresses(count)
  return addresses.map((_, index) => startWorker(addresses, index, { ...training, ...differing[index] }))
}

/** The same training by one process. */
export function startAlone(training: SmallTraining): StartedProcess {
  return startTypeScript([program, JSON.stringify(training)], { env: { ...oneThread, TF_CONFIG: '' } })
}

/** What a process has trained. */
export async function trainedBy({ finished }: StartedProcess): Promise<TrainedHere> {
  const { out, err } = await finished
  const line = out.split('\n').find(each => each.startsWith('{"trained"'))
  if (line === undefined)
    throw new Error(`trainedBy: worker must end with its weights, got: ${out.slice(-400)} ${err.slice(-400)}`)
  return (JSON.parse(line) as { readonly trained: TrainedHere }).trained
}

/** Why a process has failed, and its exit code. */
export async function failureOf({
  finished,
}: StartedProcess): Promise<{ readonly failure: string; readonly code: number | null }> {
  const { out, code } = await finished
  const line = out.split('\n').find(each => each.startsWith('{"failure"')) ?? '{"failure":"none"}'
  return { code, ...(JSON.parse(line) as { readonly failure: string }) }
}
