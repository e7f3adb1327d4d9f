import { describe, expect, test } from 'vitest'
import { duration, type LogStreams, percent, trainingLog } from '../../scripts/terminal/training-log.js'
import type { TrainEvent } from '../../src/train/events.js'

const events: readonly TrainEvent[] = [
  { type: 'start', epochs: 2, stepsPerEpoch: 1, examples: 20, fromEpoch: 1, fromStep: 0 },
  { type: 'step', epoch: 1, step: 1, stepsPerEpoch: 1, loss: 0.7, examplesPerSecond: 123.4 },
  {
    type: 'epoch',
    epoch: 1,
    trainLoss: 0.7,
    trainAccuracy: 0.5,
    testLoss: 0.6,
    testAccuracy: 0.625,
    seconds: 1.25,
    learningRate: 0.1,
    steps: 1,
  },
]

/** Streams that remember what is written to them. */
function streams(isTTY: boolean): LogStreams & { readonly written: { out: string; err: string } } {
  const written = { out: '', err: '' }
  const stream = (name: 'out' | 'err') =>
    ({
      isTTY,
      columns: 120,
      write(text: string) {
        written[name] += text
        return true
      },
    }) as unknown as NodeJS.WriteStream
  return { out: stream('out'), err: stream('err'), written }
}

describe('trainingLog', () => {
  test('writes nothing but the events as JSON lines, sentences aside', () => {
    const { written, ...both } = streams(true)
    const log = trainingLog('run', { json: true }, both)
    log.note('hello')
    log.record({ type: 'run', directory: 'runs/a' })
    for (const event of events) log.event(event)
    log.close()
    const lines = written.out.trimEnd().split('\n')
    expect(lines.map(line => JSON.parse(line))).toEqual([{ type: 'run', directory: 'runs/a' }, ...events])
    expect(written.err).toBe('hello\n')
  })

  test('writes one plain line an epoch when piped', () => {
    const { written, ...both } = streams(false)
    const log = trainingLog('digits', {}, both)
    for (const event of events) log.event(event)
    log.close()
    expect(written.out).toMatch(
      /^digits {2}epoch 1\/2 {2}loss 0\.7000 {2}accuracy 50\.0% {2}test loss 0\.6000 {2}test accuracy 62\.5% {2}123 images\/s {2}1\.3 s {2}0 s left\n$/,
    )
  })

  test('shows the floor of the loss, the balance loss and the entropy where a run has them', () => {
    const { written, ...both } = streams(false)
    const log = trainingLog('s1', {}, both)
    const [start, step, epoch] = events as [TrainEvent, TrainEvent, TrainEvent]
    log.event({ ...start, lossFloor: 0.31326 } as TrainEvent)
    log.event(step)
    const sampleRouting = { trainEntropy: 0.2, testEntropy: 0.25, deadExperts: 1, negativeGates: 0 }
    log.event({ ...epoch, loadBalance: 1.02, sampleRouting } as TrainEvent)
    log.close()
    expect(written.out).toContain('loss 0.7000 (at least 0.3133)  balance 1.0200  accuracy 50.0%')
    expect(written.out).toContain('test accuracy 62.5%  entropy 0.250')
  })

  test('writes a line at the end of separate routers', () => {
    const { written, ...both } = streams(false)
    const log = trainingLog('digits', {}, both)
    for (const epoch of [1, 2]) log.event({ type: 'routers', epoch, epochs: 2, loss: -epoch / 3, seconds: 1 })
    log.close()
    expect(written.out).toBe('digits  routers 2/2  loss -0.6667\n')
  })

  test('shows a bar with epoch, rate, metrics and time left on a terminal', () => {
    const { written, ...both } = streams(true)
    const stream = Object.assign(both.out, {
      cursorTo: () => true,
      moveCursor: () => true,
      clearLine: () => true,
      clearScreenDown: () => true,
    })
    const log = trainingLog('digits', {}, { ...both, out: stream })
    for (const event of events) log.event(event)
    log.close()
    log.close()
    expect(written.out).toMatch(
      /digits ■+ +epoch 1\/2 · loss 0\.700 · test 62\.5% · \d+ s left · 123 images\/s/,
    )
  })

  test('shows training accuracy where nothing is tested', () => {
    const { written, ...both } = streams(true)
    const log = trainingLog('digits', {}, both)
    const [start, step] = events as [TrainEvent, TrainEvent]
    for (const event of [start, step]) log.event(event)
    log.event({
      type: 'epoch',
      epoch: 1,
      trainLoss: 0.25,
      trainAccuracy: 0.5,
      seconds: 1,
      learningRate: 0.1,
      steps: 1,
    })
    log.close()
    expect(written.out).toContain('epoch 1/2 · loss 0.250 · accuracy 50.0% · ')
  })

  test('writes sentences between words, and a command in one piece', () => {
    const { written, ...both } = streams(true)
    const log = trainingLog('digits', {}, both)
    const sentence = Array.from({ length: 30 }, (_, i) => `word${i}`).join(' ')
    const command = `pmoe train --resume --out ${'folder/'.repeat(20)}`
    log.note(`${sentence}: ${command}`)
    for (const event of events) log.event(event)
    log.note(sentence)
    log.close()
    const lines = written.out.split('\n')
    expect(lines.slice(0, 3).join(' ')).toBe(`${sentence}: ${command}`)
    expect(lines[2]).toBe(command)
    expect(Math.max(...lines.slice(0, 2).map(line => line.length))).toBeLessThanOrEqual(120)
    expect(written.out.split(/\s+/).filter(word => word === 'word17')).toHaveLength(2)
  })
})

test('times and shares read well', () => {
  expect([0.4, 59.4, 60, 125, 3600, 4800, Number.NaN].map(duration)).toEqual([
    '0 s',
    '59 s',
    '1 min 00 s',
    '2 min 05 s',
    '1 h 00 min',
    '1 h 20 min',
    '?',
  ])
  expect([0, 0.9345, 1].map(percent)).toEqual(['0.0%', '93.5%', '100.0%'])
})
