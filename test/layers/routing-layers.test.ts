import { expect, test } from 'vitest'
import { expertOrigins, type RoutingLayer } from '../../src/layers/moe/routing-layers.js'

const layer = (name: string, ...expertNames: string[]) => ({ name, expertNames }) as unknown as RoutingLayer

test('experts called by their numbers have no other origin', () => {
  expect(expertOrigins([])).toEqual([])
  expect(expertOrigins([layer('moe', '0', '1'), layer('gate', '0')])).toEqual([])
})

test('experts of a pruned layer keep their names, also where one has its number again', () => {
  expect(expertOrigins([layer('moe', '0', '2')])).toEqual([{ name: '0' }, { name: '2' }])
  // The gates of branches, of which the second is gone.
  expect(expertOrigins([layer('gate', '0'), layer('gate_2', '2')])).toEqual([{ name: '0' }, { name: '2' }])
})

test('a layer is named where experts of two have one name', () => {
  expect(expertOrigins([layer('a', '1', '3'), layer('b', '0', '1')])).toEqual([
    { name: '1', layer: 'a' },
    { name: '3', layer: 'a' },
    { name: '0', layer: 'b' },
    { name: '1', layer: 'b' },
  ])
})
