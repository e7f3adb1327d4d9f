import { expect, test } from 'vitest'
import { sumKey } from '../../src/cluster/collective.js'
import { WIRE_TYPES } from '../../src/train/cluster/cluster.js'

test('sums of another length, type or lane have keys of their own, whatever was added up before', () => {
  const keys = [1, 2, 3, 2 ** 29 - 1].flatMap(length =>
    WIRE_TYPES.flatMap(wire => (['now', 'started'] as const).map(lane => sumKey(length, wire, lane))),
  )
  expect(new Set(keys).size).toBe(16)
  expect(Math.min(...keys)).toBeGreaterThan(0)
  expect(Math.max(...keys)).toBe(2 ** 31 - 1)
})
