import { describe, expect, it } from 'vitest'
import { narrowFloat16, widenBfloat16, widenFloat16 } from '../../../src/data/formats/narrow-floats.js'

const every = Uint16Array.from({ length: 2 ** 16 }, (_, bits) => bits)
const bitsOf = (values: Float32Array) => new Uint32Array(values.buffer, values.byteOffset, values.length)

describe('widenFloat16', () => {
  it('gives each of the 65536 numbers its value', () => {
    const wide = widenFloat16(every)
    // By the definition of the format: (-1)^sign * fraction * 2^-24, or (1024 + fraction) * 2^(exponent - 25).
    const expected = Float64Array.from(every, bits => {
      const [exponent, fraction] = [(bits >> 10) & 31, bits & 1023]
      const size =
        exponent === 31
          ? fraction === 0
            ? Infinity
            : NaN
          : exponent === 0
            ? fraction * 2 ** -24
            : (1024 + fraction) * 2 ** (exponent - 25)
      return bits >= 0x8000 ? -size : size
    })
    expect(Float64Array.from(wide)).toEqual(expected)
  })

  it('keeps the sign and the bits of a NaN', () => {
    expect([...bitsOf(widenFloat16(Uint16Array.of(0x7e01, 0xfd00, 0x8000)))]).toEqual([
      0x7fc02000, 0xffa00000, 0x80000000,
    ])
  })
})

describe('narrowFloat16', () => {
  it('takes back what widening gave, NaN as some NaN', () => {
    const back = narrowFloat16(widenFloat16(every))
    const isNaN16 = (bits: number) => (bits & 0x7fff) > 0x7c00
    const wrong = every.filter(bits => (isNaN16(bits) ? !isNaN16(back[bits] as number) : back[bits] !== bits))
    expect([...wrong]).toEqual([])
  })

  it('rounds what lies between two neighbours to the nearer, in the middle to the even one', () => {
    const wide = widenFloat16(every)
    const wrong = every.filter(bits => {
      if (bits >= 0x7bff) return false
      const [low, high] = [wide[bits] as number, wide[bits + 1] as number]
      // Float32 holds what lies between two float16 numbers exactly.
      const [middle, step] = [(low + high) / 2, (high - low) / 8]
      const rounded = narrowFloat16(Float32Array.of(middle - step, middle, middle + step, -middle))
      const even = bits + (bits % 2)
      return rounded.join() !== [bits, even, bits + 1, even | 0x8000].join()
    })
    expect([...wrong]).toEqual([])
  })

  it('makes what is too large infinite, and what is too small 0', () => {
    const values = Float32Array.of(65504, 65519, 65520, 1e38, -Infinity, 2 ** -25, 1.0001 * 2 ** -25, -1e-40)
    expect([...widenFloat16(narrowFloat16(values))]).toEqual([
      ...[65504, 65504, Infinity, Infinity, -Infinity, 0, 2 ** -24, -0],
    ])
  })
})

describe('widenBfloat16', () => {
  it('is the upper half of each float32', () => {
    expect(bitsOf(widenBfloat16(every))).toEqual(Uint32Array.from(every, bits => bits * 2 ** 16))
    expect(widenBfloat16(Uint16Array.of(0x3f80, 0xc2f7, 0x7f80))).toEqual(
      Float32Array.of(1, -123.5, Infinity),
    )
  })
})
