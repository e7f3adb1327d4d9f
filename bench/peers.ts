import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { ChildCommand } from '../scripts/run/measuring/child-process.js'
import type { TrainingJob } from './jobs.js'

/** The frameworks that this library is measured beside. */
export type Peer = 'keras' | 'torch'

/** What a peer is told: the same as a job of this library, without its backends. */
export type PeerJob = Omit<TrainingJob, 'workload' | 'backend' | 'convolutions'>

/**
 * The interpreter of the peers' environment.
 *
 * @param folder made by `bash bench/peers/setup.sh FOLDER`
 * @throws RangeError when there is none
 */
export function peerPython(folder: string): string {
  const python = join(folder, 'bin', 'python')
  if (existsSync(python)) return python
  throw new RangeError(
    `peerPython: --peers must be a folder made by bench/peers/setup.sh, got ${folder} (no ${python})`,
  )
}

/** The measuring process of a peer: a script in bench/peers, run by the interpreter of its environment. */
export function peerCommand(who: string, python: string, peer: Peer, job: PeerJob): ChildCommand {
  const script = fileURLToPath(new URL(`./peers/${peer}_wrn_pmoe.py`, import.meta.url))
  const numbers = {
    size: job.size,
    batch: job.batch,
    classes: job.classes,
    widen: job.widen,
    experts: job.experts,
    keep: job.keep,
    patch: job.patch,
    kernel: job.kernel,
    'warm-up': job.warmUp,
    steps: job.rounds,
  }
  const flags = Object.entries(numbers).flatMap(([name, value]) => [`--${name}`, String(value)])
  const model = job.network === 'wrn' ? 'wrn' : 'pmoe'
  const bf16 = job.precision === 'bf16' ? ['--bf16'] : []
  return { who, program: python, arguments: [script, model, ...flags, ...bf16], environment: {} }
}
