import * as tf from '@tensorflow/tfjs-core'
import { narrowFloat16 } from '../../data/formats/narrow-floats.js'
import { shapeSize } from '../../shapes.js'

/** A saved model whose kernels are stored as float16. */
export interface HalvedModel {
  readonly artifacts: tf.io.ModelArtifacts
  /** The weights of kernels that stay float32, and why. */
  readonly inFloat: readonly { readonly layer: string; readonly why: string }[]
}

/** What is small, or decides too much for few digits. */
const alwaysFull = /(^|\/)(bias|router_bias|gamma|beta|moving_mean|moving_variance)(_\d+)?$/
const router = /(^|\/)router(_\d+)?$/
/** From here on numbers become infinite in float16. */
const INFINITE_HALF = 65520

/**
 * Stores the kernels of a saved model as float16, as `tensorflowjs_converter --quantize_float16` does: every loader of tfjs
 * widens them. Biases, what BatchNorm learnt, and routers stay float32, so that choices stay.
 */
export function halveWeights(artifacts: tf.io.ModelArtifacts): HalvedModel {
  const { weightSpecs = [], weightData = [] } = artifacts
  const bytes = tf.io.CompositeArrayBuffer.join(weightData)
  const inFloat: { layer: string; why: string }[] = []
  const parts: Uint8Array[] = []
  let offset = 0
  const halved = weightSpecs.map(spec => {
    const length = bytesOf(spec)
    const stored = new Uint8Array(bytes, offset, length)
    offset += length
    const why = whyFull(spec, () => new Float32Array(stored.slice().buffer))
    if (why !== undefined) {
      if (why !== '') inFloat.push({ layer: spec.name, why })
      parts.push(stored)
      return spec
    }
    const halves = narrowFloat16(new Float32Array(stored.slice().buffer))
    parts.push(new Uint8Array(halves.buffer))
    return { ...spec, quantization: { dtype: 'float16' as const } }
  })
  const weightBytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    weightBytes.set(part, at)
    at += part.length
  }
  return { artifacts: { ...artifacts, weightSpecs: halved, weightData: weightBytes.buffer }, inFloat }
}

/** Why a weight stays as it is: a sentence where people should know, an empty text where not. */
function whyFull(spec: tf.io.WeightsManifestEntry, values: () => Float32Array): string | undefined {
  if (router.test(spec.name)) return 'a router, whose choices must stay the same'
  if (spec.dtype !== 'float32' || spec.quantization || spec.shape.length < 2 || alwaysFull.test(spec.name)) {
    return ''
  }
  const isTooLarge = values().some(weight => !(Math.abs(weight) < INFINITE_HALF))
  return isTooLarge ? 'weights beyond 65504, the largest number of float16' : undefined
}

/** Bytes of a weight as `model.save` writes it. */
function bytesOf({ shape, dtype }: tf.io.WeightsManifestEntry): number {
  const size = shapeSize(shape)
  return size * (dtype === 'bool' ? 1 : 4)
}
