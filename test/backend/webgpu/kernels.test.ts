import { describe, expect, test } from 'vitest'
import { kernelCases } from './kernel-cases.js'
import { hasSoftwareVulkan, runInSoftware } from './software-vulkan.js'

interface CaseReport {
  readonly name: string
  /** The largest difference to plain JavaScript, as a share of the largest number of its tensor. */
  readonly apart: number
  /** Whether a second run gave the same bits. */
  readonly isRepeatable: boolean
}

describe.skipIf(!hasSoftwareVulkan)('the kernels of this library on WebGPU', () => {
  test.each(Object.entries(kernelCases))(
    'compute what plain JavaScript computes, to 1e-5 of the largest, and the same bits in two runs: %s',
    async (part, cases) => {
      const reports = await runInSoftware<readonly CaseReport[]>('kernels-program.ts', [part])
      expect(reports.map(({ name }) => name)).toEqual(cases.map(({ name }) => name))
      expect(reports.filter(({ apart, isRepeatable }) => !(apart <= 1e-5 && isRepeatable))).toEqual([])
    },
  )
})
