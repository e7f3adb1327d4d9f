import * as tf from '@tensorflow/tfjs-core'
import { useBackend } from '../../../src/backend/choose.js'
import { distance } from './distance.js'
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
    apart: distance(first, right),
    isRepeatable: bytes(first) === bytes(second),
  }
})
console.log(JSON.stringify(report))
