import { describe, expect, it } from 'vitest'
import { widenBfloat16, widenFloat16 } from '../../../src/data/formats/narrow-floats.js'

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

describe('widenBfloat16', () => {
  it('is the upper half of each float32', () => {
    expect(bitsOf(widenBfloat16(every))).toEqual(Uint32Array.from(every, bits => bits * 2 ** 16))
    expect(widenBfloat16(Uint16Array.of(0x3f80, 0xc2f7, 0x7f80))).toEqual(
      Float32Array.of(1, -123.5, Infinity),
    )
  })
})
