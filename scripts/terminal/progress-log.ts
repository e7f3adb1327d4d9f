import { progressBar } from './progress-bar.js'
import type { LogStreams } from './training-log.js'
import { duration } from './training-log.js'

/** Where the progress of something that is counted is shown. */
export interface ProgressLog {
  /**
   * @param done of `total`
   * @param free how many of them took no time, such as those of an earlier run
   * @param status more text to show
   */
  update(done: number, total: number, free: number, status?: string): void
  /** A sentence for people, on the error stream unless there is a bar. */
  note(text: string): void
  /** Leaves the terminal as it was; may be called twice. */
  close(): void
}

const lineMs = 10_000
const jsonMs = 1000

/**
 * Chooses how progress is shown: as JSON lines, as a bar on a terminal, otherwise as a plain line every ten seconds.
 *
 * @param title names what is counted: `Preparing cifar10`
 * @param unit what is counted: `images`
 */
export function progressLog(
  title: string,
  unit: string,
  { json = false }: { readonly json?: boolean } = {},
  { out }: Pick<LogStreams, 'out'> = { out: process.stdout },
  now: () => number = Date.now,
): ProgressLog {
  const pace = new Pace(now)
  if (json)
    return timedLog(pace, jsonMs, ({ done, total, rate, left }) => {
      out.write(`${JSON.stringify({ type: 'progress', done, total, rate, secondsLeft: left })}\n`)
    })
  if (out.isTTY) return barLog(title, unit, pace, out)
  return timedLog(pace, lineMs, step => {
    out.write(`${title}  ${step.done}/${step.total}  ${paceText(step, unit)}${step.status}\n`)
  })
}

/** Where something stands, and how fast it goes. */
interface Step {
  readonly done: number
  readonly total: number
  /** Done in a second; null while nothing has been done. */
  readonly rate: number | null
  /** Seconds; null where the rate is not known. */
  readonly left: number | null
  readonly status: string
}

/** Measures how fast something goes, from its first update on. */
class Pace {
  private startedAt: number | undefined
  readonly now: () => number

  constructor(now: () => number) {
    this.now = now
  }

  step(done: number, total: number, free: number, status: string): Step {
    this.startedAt ??= this.now()
    const seconds = (this.now() - this.startedAt) / 1000
    const rate = done > free && seconds > 0 ? (done - free) / seconds : null
    return { done, total, rate, left: rate === null ? null : (total - done) / rate, status }
  }
}

/** Shows one step in so many milliseconds, and nothing of work that ends sooner. */
function timedLog(pace: Pace, milliseconds: number, show: (step: Step) => void): ProgressLog {
  let next = pace.now() + milliseconds
  return {
    update(done, total, free, status = '') {
      const step = pace.step(done, total, free, status)
      if (pace.now() < next) return
      next = pace.now() + milliseconds
      show(step)
    },
    note: text => process.stderr.write(`${text}\n`),
    close: () => undefined,
  }
}

function barLog(title: string, unit: string, pace: Pace, out: NodeJS.WriteStream): ProgressLog {
  const bar = progressBar(out)
  return {
    update(done, total, free, status = '') {
      const { rate, left } = pace.step(done, total, free, status)
      const parts = [`${done}/${total}`, ...(left === null ? [] : [`${duration(left)} left`])]
      if (status.trim() !== '') parts.push(status.trim())
      const extra = rate === null ? {} : { extra: rateText(rate, unit) }
      bar.update(total === 0 ? 0 : done / total, { title, parts, ...extra })
    },
    note: text => bar.note(text),
    close: () => bar.close(),
  }
}

function paceText({ rate, left }: Step, unit: string): string {
  if (rate === null || left === null) return `? ${unit}/s`
  return `${rateText(rate, unit)}  ${duration(left)} left`
}

function rateText(rate: number, unit: string): string {
  if (rate < 1) return `${(1 / rate).toFixed(1)} s each`
  return `${rate.toFixed(rate < 10 ? 1 : 0)} ${unit}/s`
}
