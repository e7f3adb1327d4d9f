import { DeviceError } from '../../src/backend/device-error.js'
import { shellCommand } from '../../src/cluster/shell-command.js'
import type { Lock } from '../../src/files/lock.js'
import type { RunFolder } from '../../src/run/run-folder.js'
import { interruptedExitCode, onInterrupt } from '../terminal/interrupt.js'
import { noteText } from '../terminal/safe-output.js'
import { duration, percent, type TrainingLog, trainingLog } from '../terminal/training-log.js'
import { silentLog } from './training/cluster-worker.js'
import { type TrainingOutcome, type TrainingParts, trainRun } from './training-run.js'

/** A run whose folder is there and whose training can begin or go on. */
export interface StartedRun extends Pick<TrainingParts, 'run' | 'model' | 'data' | 'resume' | 'cluster'> {
  /** What the user should know of the network that the run starts from, a sentence each. */
  readonly notes: readonly string[]
  /** Keeps other processes out of the run's folder. */
  readonly lock: Lock
}

/**
 * Trains a run while a person follows it: says what is trained, shows the progress, and says how it ended.
 *
 * Ctrl-C stops it after the running step, sets the exit code and says how to go on.
 *
 * @param options.json writes the events of the training as JSON lines
 * @param options.signal ends it as Ctrl-C does
 * @throws Error that says how to go on where a GPU failed; else as the training
 */
export async function followRun(
  started: StartedRun,
  { json, signal }: { readonly json: boolean; readonly signal?: AbortSignal },
): Promise<TrainingOutcome> {
  const { run, data, cluster } = started
  const { dataset, model } = run.config
  const log =
    cluster && cluster.index > 0 ? silentLog : trainingLog(`${dataset.name} ${model.name}`, { json })
  log.record({ type: 'run', directory: run.directory, config: run.config } as const)
  const validationText = data.validation ? ` choosing by ${data.validation.count},` : ''
  log.note(
    `${started.resume ? 'Continuing' : 'Training'} ${model.name} on ${data.train.count} images of ${dataset.name},${validationText} testing on ${data.test.count}; backend ${run.config.backend}, seed ${run.config.seed},${cluster ? ` ${cluster.size} workers,` : ''} folder ${run.directory}`,
  )
  for (const note of [...data.notes, ...started.notes]) log.note(noteText(note))
  const interrupt = onInterrupt(() => log.note('Stopping after the running step …'))
  try {
    const signals = [interrupt.signal, started.lock.lost, ...(signal ? [signal] : [])]
    const outcome = await trainRun({ ...started, log, signal: AbortSignal.any(signals) })
    // A run that another process has taken over is that process's.
    started.lock.lost.throwIfAborted()
    log.close()
    reportOutcome(outcome, run, log)
    return outcome
  } catch (error) {
    if (!(error instanceof DeviceError)) throw error
    throw new Error(`${error.message}. Continue with: ${resumeCommand(run)}`, { cause: error })
  } finally {
    log.close()
    interrupt.release()
  }
}

function reportOutcome(outcome: TrainingOutcome, run: RunFolder, log: TrainingLog): void {
  if (outcome.ended === 'aborted') {
    const { epoch, step } = outcome.at ?? { epoch: 1, step: 0 }
    log.note(
      `Stopped in epoch ${epoch} after step ${step}; nothing is lost. Continue with: ${resumeCommand(run)}`,
    )
    process.exitCode = interruptedExitCode
    return
  }
  const last = outcome.history.at(-1)
  const accuracy = last?.testAccuracy === undefined ? '' : `test accuracy ${percent(last.testAccuracy)}, `
  const early = outcome.ended === 'early-stop' ? `, stopped early after epoch ${last?.epoch}` : ''
  log.note(
    `Done: ${accuracy}${keptText(outcome)}trained in ${duration(outcome.seconds)}${early}. Saved in ${run.directory}`,
  )
}

function resumeCommand({ directory }: RunFolder): string {
  return shellCommand(['pmoe', 'train', '--resume', '--out', directory])
}

function keptText({ keptEpoch, history }: TrainingOutcome): string {
  const loss = history.find(({ epoch }) => epoch === keptEpoch)?.validationLoss
  return loss === undefined
    ? ''
    : `weights of epoch ${keptEpoch} kept (validation loss ${loss.toFixed(4)}, the best), `
}
