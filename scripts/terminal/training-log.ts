import type { FeaturesEvent, TrainEvent } from '../../src/train/events.js'
import type { KeptShares } from '../../src/train/routing/kept-cells.js'
import { type ProgressText, progressBar } from './progress-bar.js'
import { remarkText } from './remark-text.js'

/** Where the events of a training run are shown. */
export interface TrainingLog {
  /** A sentence for people. */
  note(text: string): void
  event(event: TrainEvent): void
  /** Writes a record that is no event of the training, where events are written as JSON. */
  record(record: { readonly type: string; readonly [key: string]: unknown }): void
  /** Leaves the terminal as it was; may be called twice. */
  close(): void
}

/** The streams that a log writes to. */
export interface LogStreams {
  readonly out: NodeJS.WriteStream
  readonly err: NodeJS.WriteStream
}

/**
 * Chooses how a training run is shown: events as JSON lines, a progress bar on a terminal, otherwise plain lines.
 *
 * @param title names the run in front of its progress
 * @param options.json writes nothing but JSON lines to the output; sentences go to the error stream
 */
export function trainingLog(
  title: string,
  { json = false }: { readonly json?: boolean } = {},
  streams: LogStreams = { out: process.stdout, err: process.stderr },
): TrainingLog {
  if (json) return jsonLog(streams)
  return streams.out.isTTY ? barLog(title, streams.out) : lineLog(title, streams.out)
}

function jsonLog({ out, err }: LogStreams): TrainingLog {
  return {
    note: text => err.write(`${text}\n`),
    event: event => out.write(`${JSON.stringify(event)}\n`),
    record: record => out.write(`${JSON.stringify(record)}\n`),
    close: () => undefined,
  }
}

/** One line an epoch, and one every ten seconds within an epoch that takes longer. */
function lineLog(title: string, out: NodeJS.WriteStream): TrainingLog {
  const progress = new Progress()
  let nextLine = Date.now() + LINE_MS
  return {
    note: text => out.write(`${text}\n`),
    event(event) {
      progress.follow(event)
      const text =
        epochText(event, progress) ||
        (event.type === 'step' && Date.now() > nextLine && stepText(event, progress)) ||
        (event.type === 'remark' && remarkText(event.remark)) ||
        (event.type === 'features' && featuresText(event)) ||
        (event.type === 'routers' &&
          (event.epoch === event.epochs || Date.now() > nextLine) &&
          routersText(event))
      if (!text) return
      out.write(`${title}  ${text}\n`)
      nextLine = Date.now() + LINE_MS
    },
    record: () => undefined,
    close: () => undefined,
  }
}

function barLog(title: string, out: NodeJS.WriteStream): TrainingLog {
  const bar = progressBar(out)
  const progress = new Progress()
  let open = true
  return {
    note: text => bar.note(text),
    event(event) {
      if (!open) return
      progress.follow(event)
      if (event.type === 'remark') bar.note(remarkText(event.remark))
      if (event.type === 'features') bar.note(featuresText(event))
      bar.update(progress.done / Math.max(1, progress.steps), barText(title, progress))
    },
    record: () => undefined,
    close() {
      open = false
      bar.close()
    },
  }
}

const LINE_MS = 10_000

/** What is kept of a frozen body, and what could not be. */
function featuresText({ images, bytes, computed, seconds, path, remarks }: FeaturesEvent): string {
  const time = `${seconds.toFixed(1)} s`
  const made =
    computed === images
      ? `made in ${time}`
      : computed === 0
        ? `found in ${time}`
        : `${computed} made in ${time}`
  const kept = `features of ${images} images after ${path}: ${(bytes / 1e6).toPrecision(3)} MB, ${made}`
  return [...(images > 0 ? [kept] : []), ...remarks].join('; ')
}

/** Where a run stands, from its events. */
class Progress {
  epochs = 0
  epoch = 0
  /** Steps of the whole run, and those that are done. */
  steps = 0
  done = 0
  rate = 0
  /** The least value that the loss can have. */
  lossFloor = 0
  /** What was measured last, the loss first. */
  metrics: readonly string[] = []
  private stepsPerEpoch = 0
  private startedAt = Date.now()
  private startedFrom = 0

  follow(event: TrainEvent): void {
    if (event.type === 'start') {
      this.epochs = event.epochs
      this.lossFloor = event.lossFloor ?? 0
      this.epoch = Math.min(event.fromEpoch, event.epochs)
      this.stepsPerEpoch = event.stepsPerEpoch
      this.steps = event.epochs * event.stepsPerEpoch
      this.done = (event.fromEpoch - 1) * event.stepsPerEpoch + event.fromStep
      this.startedFrom = this.done
      this.startedAt = Date.now()
      this.metrics = []
    } else if (event.type === 'step') {
      this.epoch = event.epoch
      this.done = (event.epoch - 1) * this.stepsPerEpoch + event.step
      this.rate = event.examplesPerSecond
      if (this.metrics.length === 0) this.metrics = [`loss ${event.loss.toFixed(3)}`]
    } else if (event.type === 'routers') {
      this.metrics = [routersText(event)]
    } else if (event.type === 'epoch') {
      const { trainLoss, trainAccuracy, validationAccuracy, testAccuracy, kept } = event
      const accuracies = [
        ...(validationAccuracy === undefined ? [] : [`validation ${percent(validationAccuracy)}`]),
        ...(testAccuracy === undefined ? [] : [`test ${percent(testAccuracy)}`]),
      ]
      const measured = accuracies.length > 0 ? accuracies : [`accuracy ${percent(trainAccuracy)}`]
      this.metrics = [`loss ${trainLoss.toFixed(3)}`, ...measured, ...(kept ? [keptText(kept)] : [])]
    }
  }

  /** Time that is left, in seconds; evaluations count as a part of the steps before them. */
  get secondsLeft(): number {
    const steps = this.done - this.startedFrom
    if (steps === 0) return Number.NaN
    return ((Date.now() - this.startedAt) / 1000 / steps) * (this.steps - this.done)
  }
}

/** What a bar shows; numbers that are not known yet are left out. */
function barText(title: string, { epoch, epochs, rate, metrics, secondsLeft }: Progress): ProgressText {
  const parts = [`epoch ${epoch}/${epochs}`, ...metrics]
  if (Number.isFinite(secondsLeft)) parts.push(`${duration(secondsLeft)} left`)
  return { title, parts, ...(rate > 0 && { extra: `${rate.toFixed(0)} images/s` }) }
}

function epochText(event: TrainEvent, progress: Progress): string | undefined {
  if (event.type !== 'epoch') return undefined
  const { trainLoss, trainAccuracy, testLoss, testAccuracy, testWorstGroup, patchesPerExpert, seconds } =
    event
  const { loadBalance, diversity } = event
  const test =
    testLoss === undefined || testAccuracy === undefined
      ? ''
      : `  test loss ${testLoss.toFixed(4)}  test accuracy ${percent(testAccuracy)}`
  const { validationLoss, validationAccuracy } = event
  const validation =
    validationLoss === undefined || validationAccuracy === undefined
      ? ''
      : `  validation loss ${validationLoss.toFixed(4)}  validation accuracy ${percent(validationAccuracy)}`
  const { sampleRouting } = event
  const entropy = sampleRouting === undefined ? '' : `  entropy ${sampleRouting.testEntropy.toFixed(3)}`
  const worst = testWorstGroup === undefined ? '' : `  worst group ${percent(testWorstGroup)}`
  const kept = event.evaluatedKept ?? event.kept
  const found = kept === undefined ? '' : `  ${keptText(kept)}`
  const patches = patchesPerExpert === undefined ? '' : `  ${patchesPerExpert} patches`
  const floor = progress.lossFloor > 0 ? ` (at least ${progress.lossFloor.toFixed(4)})` : ''
  const balance = loadBalance === undefined ? '' : `  balance ${loadBalance.toFixed(4)}`
  const overlap = diversity === undefined ? '' : `  router overlap ${diversity.toFixed(4)}`
  return `epoch ${event.epoch}/${progress.epochs}${patches}  loss ${trainLoss.toFixed(4)}${floor}${balance}${overlap}  accuracy ${percent(trainAccuracy)}${validation}${test}${worst}${entropy}${found}  ${progress.rate.toFixed(0)} images/s  ${seconds.toFixed(1)} s  ${duration(progress.secondsLeft)} left`
}

function routersText({ epoch, epochs, loss }: TrainEvent & { type: 'routers' }): string {
  return `routers ${epoch}/${epochs}  loss ${loss.toPrecision(4)}`
}

function stepText(event: TrainEvent & { type: 'step' }, progress: Progress): string {
  return `epoch ${event.epoch}/${progress.epochs}  step ${event.step}/${event.stepsPerEpoch}  loss ${event.loss.toFixed(4)}  ${event.examplesPerSecond.toFixed(0)} images/s  ${duration(progress.secondsLeft)} left`
}

/** How well kept patches are chosen, by the things that they hold where these are known: `recall 84.0%`, `blank 3.1%`. */
export function keptText({ recall, blank }: KeptShares): string {
  return recall === undefined ? `blank patches ${percent(blank)}` : `recall ${percent(recall)}`
}

/** A share as people read it: `93.2%`. */
export function percent(value: number): string {
  return `${(value * 100).toFixed(1)}%`
}

/** Seconds as people read them: `8 s`, `2 min 05 s`, `1 h 20 min`. */
export function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return '?'
  const whole = Math.round(seconds)
  if (whole < 60) return `${whole} s`
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, '0')} s`
  return `${Math.floor(whole / 3600)} h ${String(Math.floor((whole % 3600) / 60)).padStart(2, '0')} min`
}
