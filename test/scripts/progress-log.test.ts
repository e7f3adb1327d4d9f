import { describe, expect, test } from 'vitest'
import { progressLog } from '../../scripts/terminal/progress-log.js'

/** A stream that remembers what was written. */
function stream(isTTY: boolean) {
  const written: string[] = []
  const write = (text: string) => {
    written.push(text)
    return true
  }
  const out = {
    isTTY,
    write,
    columns: 120,
    cursorTo: () => true,
    clearLine: () => true,
  } as unknown as NodeJS.WriteStream
  return { out, written }
}

/** Reports 200 images, one a hundred milliseconds, of which the first 50 were there already. */
function report(options: { json?: boolean }, out: NodeJS.WriteStream): void {
  let time = 0
  const log = progressLog('Preparing faces', 'images', options, { out }, () => time)
  log.update(50, 1000, 50)
  for (let done = 51; done <= 250; done++) {
    time += 100
    log.update(done, 1000, 50, done > 200 ? '  2 unreadable' : '')
  }
  log.close()
  log.close()
}

describe('progressLog', () => {
  test('writes a line every ten seconds where output is no terminal', () => {
    const { out, written } = stream(false)
    report({}, out)
    expect(written).toEqual([
      'Preparing faces  150/1000  10 images/s  1 min 25 s left\n',
      'Preparing faces  250/1000  10 images/s  1 min 15 s left  2 unreadable\n',
    ])
  })

  test('tells the seconds of each where one takes longer than a second', () => {
    const { out, written } = stream(false)
    let time = 0
    const log = progressLog('Measuring', 'measurements', {}, { out }, () => time)
    const lines = [0, 25_000, 50_000].map((at, done) => {
      time = at
      log.update(done, 4, 0)
      return written.at(-1)
    })
    time = 52_000
    log.update(3, 4, 0)
    time = 60_000
    log.update(100, 400, 0)
    expect(lines).toEqual([
      undefined,
      'Measuring  1/4  25.0 s each  1 min 15 s left\n',
      'Measuring  2/4  25.0 s each  50 s left\n',
    ])
    expect(written.at(-1)).toBe('Measuring  100/400  1.7 measurements/s  3 min 00 s left\n')
  })

  test('writes a JSON line a second', () => {
    const { out, written } = stream(false)
    report({ json: true }, out)
    expect(written).toHaveLength(20)
    expect(JSON.parse(written[0] as string)).toEqual({
      type: 'progress',
      done: 60,
      total: 1000,
      rate: 10,
      secondsLeft: 94,
    })
  })

  test('draws a bar on a terminal, and leaves it at the end', () => {
    const { out, written } = stream(true)
    report({}, out)
    const text = written.join('')
    expect(text).toContain('Preparing faces ')
    expect(text).toContain('250/1000 · 1 min 15 s left · 2 unreadable · 10 images/s')
  })
})
