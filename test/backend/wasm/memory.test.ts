import * as tf from '@tensorflow/tfjs'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { useBackend } from '../../../src/backend/choose.js'
import { keepSpareMemory } from '../../../src/backend/wasm/memory.js'
import { expectAllClose } from '../../all-close.js'

interface WasmModule {
  _malloc(bytes: number): number
  _free(address: number): void
  readonly HEAPU8: Uint8Array
}

let wasm: WasmModule
beforeAll(async () => {
  await useBackend('wasm')
  wasm = (tf.backend() as unknown as { wasm: WasmModule }).wasm
})
beforeEach(() => tf.engine().startScope())
afterEach(() => tf.engine().endScope())

describe('the memory of wasm', () => {
  it('stays small where a pool finds no free piece that fits', () => {
    const before = wasm.HEAPU8.length
    const taken: number[] = []
    const take = (bytes: number, times: number) => {
      for (let i = 0; i < times; i++) taken.push(wasm._malloc(bytes))
    }
    const images = tf.ones<tf.Rank.R4>([1, 64, 2, 3])
    // Everything free is taken in pieces of 28 bytes, what XNNPACK takes for three channels; then one piece is given back
    // in which the rest of a pool fits, and these 28 bytes do not. Where memory ends decides, so that several are tried.
    take(28, 20000)
    for (let bytes = 560; bytes <= 608; bytes += 4) {
      for (const ends of [0, 8]) {
        take(28, 200)
        const freed = wasm._malloc(bytes)
        take(28, 2)
        if (ends > 0) take(ends, 1)
        take(28, 1)
        wasm._free(freed)
        const height = 2 + (taken.length % 60)
        expectAllClose(tf.max(tf.avgPool(images, [height, 2], 1, 'valid')).dataSync(), [1])
      }
    }
    expect(wasm.HEAPU8.length).toBeLessThan(before + 2 ** 25)
    for (const address of taken) wasm._free(address)
  })

  const refusal = (bytes: number) =>
    `wasm: a tensor must fit into the memory left, at most 2147483648 bytes, got ${bytes} (use smaller batches, or the backend tensorflow)`

  it.each([2 ** 31 + 4, 2 ** 32 + 8])('refuses a tensor of %d bytes, and goes on', bytes => {
    expect(() => wasm._malloc(bytes)).toThrow(refusal(bytes))
    expectAllClose(tf.add(1, 2).dataSync(), [3])
  })

  it('refuses what is too large for the memory left, and goes on', () => {
    const half = wasm._malloc(2 ** 31)
    expect(() => tf.backend().write(undefined as never, [2 ** 29], 'float32')).toThrow(refusal(2 ** 31))
    wasm._free(half)
    expectAllClose(tf.add(1, 2).dataSync(), [3])
  })

  it('is guarded once', () => {
    const { _malloc } = wasm
    keepSpareMemory(tf.backend())
    expect(wasm._malloc).toBe(_malloc)
  })
})
