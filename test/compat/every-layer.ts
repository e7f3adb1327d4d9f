import * as tf from '@tensorflow/tfjs'
import { patchGate, patchMoE, twoLayerExperts } from '../../src/index.js'
import { random } from '../../src/random.js'

const GATES = ['softmax-selected', 'softmax-all', 'uniform'] as const
const SCALES = ['mean-one', 'none'] as const
const BORDERS = ['zero', 'halo'] as const
const PRE_ACTIVATIONS = ['none', 'relu', 'batch-norm-relu'] as const
const NORMALIZERS = ['selected', 'all'] as const
const PATCHES = { patchSize: 2, patchesPerExpert: 3, seed: 5 }

/** Height, width and channels of the map that {@link everyLayer} takes. */
export const mapShape = [4, 8, 4] as const

/** A model with one output for each way to set a layer of this library; each output has the name of its layer. */
export function everyLayer(): tf.LayersModel {
  const input = tf.input({ shape: [...mapShape] })
  const layers = [...mixtures(), ...gates(), ...twoLayers()]
  return tf.model({ inputs: input, outputs: layers.map(layer => layer.apply(input) as tf.SymbolicTensor) })
}

/** Gives a model's weights values that a seed decides: N(0, 1), and what scales or divides at least 0.5. */
export function drawWeights(model: tf.LayersModel, seed: number): void {
  const numbers = random(seed, 'weights')
  const values = model.weights.map(weight => {
    const positive = /gamma|moving_variance/.test(weight.originalName)
    const draw = () => (positive ? Math.abs(numbers.normal()) + 0.5 : numbers.normal())
    const shape = weight.shape as number[]
    return tf.tensor(
      Float32Array.from({ length: shape.reduce((product, side) => product * side, 1) }, draw),
      shape,
    )
  })
  model.setWeights(values)
  tf.dispose(values)
}

/** Images with values that a seed decides, N(0, 1). */
export function drawMaps(shape: readonly number[], seed: number): tf.Tensor {
  const numbers = random(seed, 'maps')
  const length = shape.reduce((product, side) => product * side, 1)
  return tf.tensor(
    Float32Array.from({ length }, () => numbers.normal()),
    [...shape],
  )
}

function mixtures() {
  return GATES.flatMap(gate =>
    BORDERS.flatMap(border =>
      PRE_ACTIVATIONS.flatMap(preActivation =>
        [1, 3].map(kernelSize => {
          const [number, odd] = [kernelSize, kernelSize === 3]
          return patchMoE({
            ...{ ...PATCHES, numExperts: 2, filters: 4, gate, border, preActivation, kernelSize },
            ...(odd ? { gateScale: 'none', useBias: true, activation: 'tanh', epsilon: 0.01 } : {}),
            ...(odd ? { kernelRegularizer: 'l1l2', momentum: 0.9, routerTrainable: false } : {}),
            name: `mixture_${gate}_${border}_${preActivation}_${number}x${number}`.replaceAll('-', '_'),
          })
        }),
      ),
    ),
  )
}

function gates() {
  return GATES.flatMap(gate =>
    SCALES.map(gateScale =>
      patchGate({ ...PATCHES, gate, gateScale, name: `gate_${gate}_${gateScale}`.replaceAll('-', '_') }),
    ),
  )
}

function twoLayers() {
  return GATES.flatMap(gate =>
    NORMALIZERS.map(normalizer =>
      twoLayerExperts({
        ...{ ...PATCHES, numExperts: 2, hiddenUnits: 4, outputs: 2, gate, normalizer },
        name: `two_layer_${gate}_${normalizer}`.replaceAll('-', '_'),
      }),
    ),
  )
}
