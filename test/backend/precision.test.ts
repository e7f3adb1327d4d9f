import { beforeAll, describe, expect, it } from 'vitest'
import { useBackend } from '../../src/backend/choose.js'
import { multipliesBfloat16, vectorFlags } from '../../src/backend/native/processor.js'
import { checkBfloat16, usePrecision } from '../../src/backend/precision.js'

beforeAll(async () => {
  await useBackend('wasm')
})

describe('vectorFlags', () => {
  it('reads the flags of x86 and the features of ARM', () => {
    expect(vectorFlags('model name\t: X\nflags\t\t: fpu sse4_2 avx2 avx512_bf16 rdpid\n')).toEqual([
      'sse4_2',
      'avx2',
      'avx512_bf16',
    ])
    expect(vectorFlags('Features\t: fp asimd bf16\n')).toEqual(['asimd', 'bf16'])
    expect(vectorFlags('')).toEqual([])
  })

  it('tells who multiplies bfloat16', () => {
    expect(multipliesBfloat16(['avx512f', 'avx512_bf16'])).toBe(true)
    expect(multipliesBfloat16(['amx_bf16'])).toBe(true)
    expect(multipliesBfloat16(['avx512f', 'avx2'])).toBe(false)
  })
})

describe('bf16 is refused', () => {
  const able = { backend: 'tensorflow', gpu: false, flags: ['avx512_bf16'] }
  it('off native TensorFlow', () => {
    expect(() => usePrecision('bf16')).toThrow(
      'usePrecision: bf16 must have native TensorFlow, got backend wasm (float32 runs everywhere)',
    )
  })

  it('on a GPU', () => {
    expect(() => checkBfloat16({ ...able, gpu: true })).toThrow(
      'usePrecision: bf16 must have native TensorFlow on a CPU, got a GPU (float32 runs everywhere)',
    )
  })

  it('on a processor without it', () => {
    expect(() => checkBfloat16({ ...able, flags: ['avx2', 'fma'] })).toThrow(
      'usePrecision: bf16 must have a processor with avx512_bf16, amx_bf16 or bf16, got avx2 fma (float32 runs everywhere)',
    )
    expect(() => checkBfloat16({ ...able, flags: [] })).toThrow('got none that are known')
  })

  it('and float32 never is', () => {
    expect(() => checkBfloat16(able)).not.toThrow()
    expect(() => usePrecision('float32')).not.toThrow()
  })
})
