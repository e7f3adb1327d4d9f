import { beforeAll, describe, expect, test } from 'vitest'
import type { VerifiedOperation } from '../../../src/backend/verify.js'
import { hasSoftwareVulkan, runInSoftware } from './software-vulkan.js'

interface Training extends Readonly<Record<'cpu' | 'webgpu-software', number[]>> {
  readonly isRepeatable: boolean
}

interface Report {
  readonly operations: readonly VerifiedOperation[]
  readonly layers: Readonly<Record<string, number>>
  readonly trainings: Readonly<Record<string, Training>>
}

describe.skipIf(!hasSoftwareVulkan)('WebGPU in software computes what plain JavaScript computes:', () => {
  let report: Report

  beforeAll(async () => {
    report = await runInSoftware<Report>('numerics-program.ts')
  })

  test('answers and derivatives of layers, to 1e-5 of the largest', () => {
    const { layers } = report
    expect(Object.keys(layers).length).toBeGreaterThan(14)
    expect(Object.entries(layers).filter(([, distance]) => !(distance <= 1e-5))).toEqual([])
  })

  test('the operations of training, but for convolutions', () => {
    expect(report.operations.length).toBeGreaterThan(15)
    expect(report.operations.filter(({ state }) => state !== 'right')).toEqual([])
  })

  test.each(['two-layer', 'wide'])(
    'losses of a training of a %s network, to 1e-4, and all bits of it again in a second one',
    kind => {
      const { cpu, 'webgpu-software': webgpu, isRepeatable } = report.trainings[kind] as Training
      expect(isRepeatable).toBe(true)
      expect(webgpu.length).toBeGreaterThan(1)
      expect(cpu.map((loss, i) => Math.abs(loss - (webgpu[i] as number)) <= 1e-4)).toEqual(
        cpu.map(() => true),
      )
    },
  )
})
