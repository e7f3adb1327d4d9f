import type { CollectiveAddon } from '../backend/native/collective-addon.js'
import type { ClusterSpec } from './cluster-spec.js'
import { taskName } from './server-def.js'

/** A worker of the cluster is lost: no sum over the workers can be had any more. */
export class WorkerLostError extends Error {
  override readonly name = 'WorkerLostError'
  /** The ranks of the workers that do not answer, as far as they are known. */
  readonly lost: readonly number[]

  constructor(message: string, lost: readonly number[], cause: Error) {
    super(message, { cause })
    this.lost = lost
  }
}

/** How long the others get to answer; milliseconds. */
const PATIENCE_MS = 2_000

/** TensorFlow's error as one that names the worker that is lost, which is asked for: TensorFlow seldom says. */
export function explainedFailure(
  error: Error,
  { addon, spec: { workers, index } }: { readonly addon: CollectiveAddon; readonly spec: ClusterSpec },
): Error {
  if (error instanceof WorkerLostError) return error
  const others = [...workers.keys()].filter(rank => rank !== index)
  const answers = addon.probe(others.map(taskName), PATIENCE_MS)
  const silent = others.filter((_, i) => answers[i] !== '')
  const said = addon.lastError() || error.message
  const named = namedIn(said, workers, index)
  const lost = silent.length > 0 ? silent : named
  const names = lost.map(rank => `worker ${rank} (${workers[rank]})`).join(' and ')
  const got = names === '' ? 'a failed sum' : `no answer from ${names}`
  return new WorkerLostError(
    `cluster: all ${workers.length} workers must stay until the training ends, got ${got} ` +
      `(noticed by worker ${index}; TensorFlow says: ${firstLine(said)})`,
    lost,
    error,
  )
}

/** The other workers that a message of TensorFlow's names, by their number or their address. */
function namedIn(message: string, workers: readonly string[], index: number): number[] {
  const byTask = [...message.matchAll(/\/task:(\d+)/g)].map(([, task]) => Number(task))
  const byAddress = [...workers.keys()].filter(rank => message.includes(workers[rank] as string))
  return [...new Set([...byTask, ...byAddress])].filter(rank => rank !== index && rank < workers.length)
}

function firstLine(text: string): string {
  return (text.split('\n')[0] ?? text).slice(0, 300)
}
