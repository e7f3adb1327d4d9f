import * as tf from '@tensorflow/tfjs-core'
import { useBackend } from '../../../src/backend/choose.js'
import { type KernelCase, kernelCases } from './kernel-cases.js'

const cases: readonly KernelCase[] = kernelCases[process.argv[2] as keyof typeof kernelCases]

/*
 * Compares the kernels of this library on WebGPU in software with plain JavaScript, and with themselves: prints, as JSON and for each
 * case of the part that is its argument, how far the numbers are apart as a share of the largest one of their tensor, and whether a
 * second run gave the same bits.
 */
async function numbersOf(backend: 'cpu' | 'webgpu-software'): Promise<Map<string, Float32Array[]>> {
  await useBackend(backend)
  const numbers = new Map<string, Float32Array[]>()
  for (const { name, compute } of cases) {
    const tensors = await compute()
    numbers.set(name, await Promise.all(tensors.map(async tensor => Float32Array.from(await tensor.data()))))
    tf.dispose(tensors)
  }
  return numbers
}

/** The largest difference, as a share of the largest of the right numbers, 1 at least; infinite where one alone is no number. */
function distance(are: Float32Array, should: Float32Array): number {
  if (are.length !== should.length) return Number.POSITIVE_INFINITY
  const scale = should.reduce(
    (most, value) => (Number.isFinite(value) ? Math.max(most, Math.abs(value)) : most),
    1,
  )
  return are.reduce((most, value, i) => {
    const right = should[i] as number
    if (Object.is(value, right) || (Number.isNaN(value) && Number.isNaN(right))) return most
    const apart = Math.abs(value - right) / scale
    return Number.isNaN(apart) ? Number.POSITIVE_INFINITY : Math.max(most, apart)
  }, 0)
}

const should = await numbersOf('cpu')
const are = await numbersOf('webgpu-software')
const again = await numbersOf('webgpu-software')
const report = cases.map(({ name }) => {
  const [right, first, second] = [should, are, again].map(numbers => numbers.get(name) as Float32Array[]) as [
    Float32Array[],
    Float32Array[],
    Float32Array[],
  ]
  const bytes = (all: Float32Array[]) => all.map(values => Buffer.from(values.buffer).toString('hex')).join()
  return {
    name,
    apart:
      right.length === first.length
        ? Math.max(...first.map((values, i) => distance(values, right[i] as Float32Array)))
        : Number.POSITIVE_INFINITY,
    isRepeatable: bytes(first) === bytes(second),
  }
})
// JSON has no word for infinity.
console.log(JSON.stringify(report.map(one => ({ ...one, apart: Math.min(one.apart, Number.MAX_VALUE) }))))
