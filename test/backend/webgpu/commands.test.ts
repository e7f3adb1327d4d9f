import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { hasSoftwareVulkan, runInSoftware } from './software-vulkan.js'

interface Prediction {
  readonly class: string
  readonly probability: number
  readonly experts: readonly { readonly patches: readonly number[] }[]
}

interface Left {
  readonly metrics: readonly Record<string, number>[]
  readonly weights: string
  readonly tags: readonly (readonly string[])[]
  readonly eventBytes: readonly number[]
}

interface Report {
  readonly codes: Readonly<Record<string, number>>
  readonly lost: string
  readonly whole: Left
  readonly broken: Left
  readonly predicted: readonly string[]
  readonly predictedOnCpu: readonly string[]
  readonly explained: readonly string[]
  readonly pictures: readonly string[]
}

describe.skipIf(!hasSoftwareVulkan)('commands on WebGPU in software', () => {
  let folder: string
  let report: Report

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'webgpu-commands-'))
    report = await runInSoftware<Report>('commands-program.ts', [folder])
  })

  afterAll(() => rm(folder, { recursive: true, force: true }))

  test('all succeed, but for the training that Ctrl-C and the loss of the device stop', () => {
    expect(report.codes).toEqual({
      ...{ whole: 0, stopped: 130, lost: 1, resumed: 0, predicted: 0, explained: 0 },
    })
    expect(report.lost).toMatch(
      /^pmoe: WebGPU: device must stay there, got its loss: .*opened anew\)\. Continue with: pmoe train --resume --out .*broken\n$/m,
    )
  })

  test('a resumed training ends in the numbers and the weights of one that never stopped', () => {
    expect(report.broken).toEqual(report.whole)
    expect(report.whole.metrics.map(({ epoch, steps }) => [epoch, steps])).toEqual([
      [1, 4],
      [2, 8],
    ])
    for (const { trainLoss } of report.whole.metrics) expect(trainLoss).toBeGreaterThan(0)
  })

  test('TensorBoard gets four curves an epoch', () => {
    const epoch = ['loss/train', 'loss/test', 'accuracy/train', 'accuracy/test']
    expect(report.whole.tags).toEqual([[...epoch, ...epoch]])
  })

  test('predict gives the class, patches and probability of plain JavaScript', () => {
    const [one, onCpu] = [report.predicted, report.predictedOnCpu].map(
      ([line = '']) => JSON.parse(line) as Prediction,
    )
    expect(one?.class).toBe(onCpu?.class)
    expect(one?.probability).toBeCloseTo(onCpu?.probability ?? Number.NaN, 4)
    expect(one?.experts.map(({ patches }) => patches)).toEqual(onCpu?.experts.map(({ patches }) => patches))
  })

  test('explain draws a picture and a page', () => {
    const { classes } = JSON.parse(report.explained[0] ?? '') as { classes: { probability: number }[] }
    const { probability } = JSON.parse(report.predicted[0] ?? '') as Prediction
    expect(classes[0]?.probability).toBeCloseTo(probability, 6)
    expect(report.pictures).toEqual(['image.html', 'image.png'])
  })
})
