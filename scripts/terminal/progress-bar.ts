import { MultiBar, Presets, type SingleBar } from 'cli-progress'
import { printable } from '../../src/report/escape.js'
import { withControlCharacters } from './safe-output.js'
import { wrappedText } from './wrapped-text.js'

/** What stands on the line of a bar. */
export interface ProgressText {
  /** What is being done: `Preparing faces`. */
  readonly title: string
  /** The state of the work, the most important part first; parts that do not fit are left out, the last ones first. */
  readonly parts: readonly string[]
  /** Shown only where everything else fits too. */
  readonly extra?: string
}

/** The bar of one piece of work on a terminal, always as wide as the terminal allows. */
export interface ProgressBar {
  /**
   * Draws the bar anew; the first call begins it.
   *
   * @param share of the work that is done, in [0, 1]
   */
  update(share: number, text: ProgressText): void
  /** Writes a sentence above the bar, broken between words. */
  note(text: string): void
  /** Leaves the bar as it is and the terminal as it was; may be called twice. */
  close(): void
}

const longestBar = 24
const shortestBar = 8
const defaultColumns = 80

/** Makes a bar that is not drawn before its first update. */
export function progressBar(terminal: NodeJS.WriteStream): ProgressBar {
  const stream = withControlCharacters(terminal)
  let drawn: MultiBar | undefined
  let line = (_columns: number): string => ''
  return {
    update(share, text) {
      const shown = printableText(text)
      line = columns => fittedLine(share, shown, columns)
      if (drawn) return
      drawn = multiBar(stream, () => line(columnsOf(stream)))
      keepToOneLine(drawn.create(1, 0), stream)
    },
    note(text) {
      const lines = `${wrappedNote(printable(text), columnsOf(stream))}\n`
      if (drawn) drawn.log(lines)
      else stream.write(lines)
    },
    close() {
      drawn?.update()
      drawn?.stop()
      drawn = undefined
    },
  }
}

function printableText({ title, parts, extra }: ProgressText): ProgressText {
  return {
    title: printable(title),
    parts: parts.map(printable),
    ...(extra !== undefined && { extra: printable(extra) }),
  }
}

function multiBar(stream: NodeJS.WriteStream, line: () => string): MultiBar {
  return new MultiBar(
    {
      format: line,
      fps: 8,
      hideCursor: true,
      // A sentence was written over the bar, or the terminal has become wider: both need the whole line anew.
      forceRedraw: true,
      // Sentences above the bar may be longer than a line; the bar itself never is.
      linewrap: true,
      stream,
      // Ctrl-C is the command's to handle.
      gracefulExit: false,
    },
    Presets.rect,
  )
}

/**
 * Turns line wrapping off while the line is drawn, because the terminal may have become narrower since its width was
 * read. Afterwards the cursor returns to the start of the line: where a terminal wraps the line as it becomes narrower,
 * the rest lies below the cursor and is cleared.
 */
function keepToOneLine(bar: SingleBar, stream: NodeJS.WriteStream): void {
  bar.on('redraw-pre', () => stream.write('\x1b[?7l'))
  bar.on('redraw-post', () => stream.write('\x1b[?7h\x1b[J\r'))
}

/** A command at the end of a sentence stays in one piece, so that it can be copied. */
function wrappedNote(text: string, columns: number): string {
  const [, sentence = text, command] = /^(.*?) (pmoe .*)$/s.exec(text) ?? []
  const lines = wrappedText(sentence, columns)
  if (command === undefined) return lines
  const last = lines.length - lines.lastIndexOf('\n') - 1
  return `${lines}${last + 1 + command.length <= columns ? ' ' : '\n'}${command}`
}

function columnsOf(stream: NodeJS.WriteStream): number {
  return stream.columns || defaultColumns
}

/**
 * The line of a bar with what fits, in this order of importance: its parts, the bar itself, its title, the extra.
 *
 * @param share that is done, in [0, 1]
 * @param columns of the terminal; the last one stays free
 */
export function fittedLine(share: number, { title, parts, extra }: ProgressText, columns: number): string {
  const width = columns - 1
  let status = cut(parts[0] ?? '', width)
  for (const part of parts.slice(1)) {
    const longer = `${status} · ${part}`
    if (longer.length > width) return status
    status = longer
  }
  const room = (text: string) => width - text.length - 1
  if (room(status) < shortestBar) return status
  const withTitle = title.length + 1 + shortestBar <= room(status) ? `${title} ` : ''
  const withExtra = extra === undefined ? status : `${status} · ${extra}`
  const shownStatus = withTitle.length + shortestBar <= room(withExtra) ? withExtra : status
  // The length changes in steps of 4, so that one more digit does not move the whole line.
  const size = Math.min(longestBar, Math.floor((room(shownStatus) - withTitle.length) / 4) * 4)
  const full = Math.round(share * size)
  return `${withTitle}${'■'.repeat(full)}${' '.repeat(size - full)} ${shownStatus}`
}

function cut(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, Math.max(0, width - 1))}…`
}
