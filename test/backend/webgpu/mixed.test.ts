import { describe, expect, test } from 'vitest'
import { hasSoftwareVulkan, runInSoftware } from './software-vulkan.js'

type Answers = 'trainedOnDevice' | 'onWasm' | 'trainedOnWasm' | 'onCpu' | 'backOnDevice' | 'after'

describe.skipIf(!hasSoftwareVulkan)('one model on two backends', () => {
  test('says the same on each, trains on each, and names what was left on the device', async () => {
    const report = await runInSoftware<
      Readonly<Record<Answers, number[]>> & {
        readonly told: string
        readonly left: number
        readonly moved: number
        readonly frozen: number[]
      }
    >('mixed-program.ts')
    const { trainedOnDevice, onWasm, trainedOnWasm, onCpu, backOnDevice, after, told } = report
    expect(onWasm).toHaveLength(32)
    expect(distance(onWasm, trainedOnDevice)).toBeLessThan(1e-5)
    expect(distance(trainedOnWasm, onWasm)).toBeGreaterThan(1e-4)
    expect(distance(onCpu, trainedOnWasm)).toBeLessThan(1e-5)
    expect(distance(backOnDevice, trainedOnWasm)).toBeLessThan(1e-5)
    expect(distance(after, backOnDevice)).toBeGreaterThan(1e-4)
    expect(told).toBe(
      'Error: WebGPU: numbers must be read by `await tensor.data()` before dataSync() or another backend uses them, got a tensor of shape [2000] that was not',
    )
    expect([report.left, report.moved, report.frozen.length]).toEqual([2, 4, 4])
  })
})

function distance(are: readonly number[], should: readonly number[]): number {
  return Math.max(...are.map((value, i) => Math.abs(value - (should[i] as number))))
}
