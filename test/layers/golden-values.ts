import { readFileSync } from 'node:fs'
import * as tf from '@tensorflow/tfjs'
import { readSafetensors } from '../../src/data/formats/safetensors.js'

/** Tensors of a file in test/goldens, by their names there; see test/goldens/README.md. Integers become int32. */
export function golden(name: string): (key: string) => tf.Tensor {
  const { tensors } = readSafetensors(
    readFileSync(new URL(`../goldens/${name}.safetensors`, import.meta.url)),
    name,
  )
  return key => {
    const stored = tensors.get(key)
    if (!stored) throw new Error(`${name} has no tensor ${key}`)
    const { data, shape } = stored
    return data instanceof Int32Array
      ? tf.tensor(data, [...shape], 'int32')
      : tf.tensor(Float32Array.from(data as ArrayLike<number>), [...shape])
  }
}
