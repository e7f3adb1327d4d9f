import { describe, expect, it } from 'vitest'
import { checkEarlyStop, shouldStop } from '../../src/train/early-stop.js'
import type { EpochMetrics } from '../../src/train/events.js'

const shared = { trainLoss: 1, trainAccuracy: 0.5, seconds: 1, learningRate: 0.1, steps: 1 }

function history(losses: (number | undefined)[], accuracies: number[] = []): EpochMetrics[] {
  return losses.map((testLoss, i) => ({
    ...shared,
    epoch: i + 1,
    ...(testLoss !== undefined && { testLoss, testAccuracy: accuracies[i] ?? 0 }),
  }))
}

describe('shouldStop', () => {
  it('waits for as many epochs without a better loss as patience says', () => {
    expect(shouldStop(history([3, 2, 2.5]), { patience: 2 })).toBe(false)
    expect(shouldStop(history([3, 2, 2.5, 2.1]), { patience: 2 })).toBe(true)
    expect(shouldStop(history([3, 2, 2.5, 1.9]), { patience: 2 })).toBe(false)
  })

  it('counts an equal value as no better', () => {
    expect(shouldStop(history([2, 2]), { patience: 1 })).toBe(true)
  })

  it('follows the accuracy when asked to', () => {
    const losses = [3, 2, 1]
    expect(shouldStop(history(losses, [0.5, 0.6, 0.6]), { patience: 1, metric: 'testAccuracy' })).toBe(true)
    expect(shouldStop(history(losses, [0.5, 0.6, 0.7]), { patience: 1, metric: 'testAccuracy' })).toBe(false)
  })

  it('passes over epochs that were not evaluated, and never stops before one was', () => {
    expect(shouldStop(history([2, undefined, undefined]), { patience: 1 })).toBe(false)
    expect(shouldStop(history([2, undefined, 3]), { patience: 2 })).toBe(true)
    expect(shouldStop([], { patience: 1 })).toBe(false)
  })
})

it('refuses other settings', () => {
  expect(() => checkEarlyStop({ patience: 0 })).toThrow(
    'train: earlyStop.patience must be a positive integer, got 0',
  )
  expect(() => checkEarlyStop({ patience: 1, metric: 'mood' as 'testLoss' })).toThrow(
    'train: earlyStop.metric must be testLoss or testAccuracy, got mood',
  )
})
