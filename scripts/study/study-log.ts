import { progressBar } from '../terminal/progress-bar.js'
import type { LogStreams } from '../terminal/training-log.js'
import { duration } from '../terminal/training-log.js'
import { cellText } from './cell.js'
import type { CellResult, DoneCell } from './cell-result.js'

/** Where the progress of a study is shown. */
export interface StudyLog {
  result(result: CellResult): void
  /** Leaves the terminal as it was; may be called twice. */
  close(): void
}

/** The numbers of a cell in a few words. */
export type ResultText = (result: DoneCell) => string

/** Where a study stands when it begins. */
export interface StudyStart {
  readonly total: number
  readonly done: number
  readonly failed: number
}

/**
 * Chooses how the progress of a study is shown: as JSON lines, as a bar on a terminal, otherwise a line for each cell.
 *
 * @param now a clock, in milliseconds
 */
export function studyLog(
  title: string,
  start: StudyStart,
  { json = false, resultText }: { readonly json?: boolean; readonly resultText: ResultText },
  { out }: Pick<LogStreams, 'out'> = { out: process.stdout },
  now: () => number = Date.now,
): StudyLog {
  const count = new Counter(start, now)
  if (json) {
    return {
      result: result => {
        count.add(result)
        out.write(`${JSON.stringify({ type: 'cell', ...result })}\n`)
      },
      close: () => undefined,
    }
  }
  if (out.isTTY) return barLog(title, count, out)
  return {
    result: result => {
      count.add(result)
      out.write(`${title}  ${count.text()}  ${lineOf(result, resultText)}\n`)
    },
    close: () => undefined,
  }
}

/** Counts cells and tells when the others will have ended. */
class Counter {
  readonly total: number
  done: number
  failed: number
  private now: () => number
  private readonly began: number
  private readonly endedBefore: number

  constructor({ total, done, failed }: StudyStart, now: () => number) {
    this.total = total
    this.done = done
    this.failed = failed
    this.endedBefore = done + failed
    this.now = now
    this.began = now()
  }

  get ended(): number {
    return this.done + this.failed
  }

  add({ status }: CellResult): void {
    if (status === 'done') this.done++
    else this.failed++
  }

  text(): string {
    const remaining = this.total - this.ended
    const endedSince = this.ended - this.endedBefore
    const seconds = endedSince > 0 ? ((this.now() - this.began) / 1000 / endedSince) * remaining : Number.NaN
    return `${this.done} done, ${this.failed} failed, ${remaining} left${remaining > 0 && endedSince > 0 ? ` (${duration(seconds)})` : ''}`
  }
}

function barLog(title: string, count: Counter, out: NodeJS.WriteStream): StudyLog {
  const bar = progressBar(out)
  const show = () => bar.update(count.ended / count.total, { title, parts: [count.text()] })
  let open = true
  show()
  return {
    result(result) {
      count.add(result)
      if (open) show()
    },
    close() {
      open = false
      bar.close()
    },
  }
}

function lineOf(result: CellResult, resultText: ResultText): string {
  const what = `cell ${result.cell.index} (${cellText(result.cell)})`
  return result.status === 'failed' ? `${what} failed: ${result.message}` : `${what}: ${resultText(result)}`
}
