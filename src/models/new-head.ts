import type * as tf from '@tensorflow/tfjs-core'
import * as tfl from '@tensorflow/tfjs-layers'
import { isNestedModel } from '../layers/layer-paths.js'
import { isPositiveInteger } from '../shapes.js'
import { type LayerChange, rebuildModel } from './rebuild.js'

const WHERE = 'withNewHead'

/** A classifier with other classes. */
export interface NewHead {
  /** The new model; it shares nothing with the old one, and the caller disposes it. */
  readonly model: tfl.LayersModel
  /** Path of the layer that starts anew. */
  readonly path: string
}

/**
 * Gives a trained classifier another number of outputs: its last layer with weights, a Dense or Conv2D, starts anew
 * (glorot-uniform, bias 0); everything else is kept. A Reshape behind it is adapted.
 *
 * @param model one output, (batch, outputs)
 * @param outputs of the new model, at least 1
 * @param seed of the new weights
 * @throws RangeError when the number is not a positive integer, the model has several outputs, or its last layer with
 * weights is of another class; Error as `rebuildModel`
 */
export function withNewHead(model: tfl.LayersModel, outputs: number, seed: number): NewHead {
  if (!isPositiveInteger(outputs)) {
    throw new RangeError(`${WHERE}: outputs must be a positive integer, got ${outputs}`)
  }
  const { path, size, reshapes } = headOf(model)
  const changes = new Map<string, LayerChange>([
    [
      path,
      ({ className, config }) => ({
        className,
        config: { ...config, [SIZES[className] as string]: outputs, kernelInitializer: seededGlorot(seed) },
      }),
    ],
  ])
  for (const reshape of reshapes) {
    changes.set(reshape, ({ className, config }) => {
      const targetShape = (config.targetShape as number[]).map(side => (side === size ? outputs : side))
      return { className, config: { ...config, targetShape } }
    })
  }
  return { model: rebuildModel(model, changes, WHERE), path }
}

/** The setting that decides how many outputs a layer has, by class name. */
const SIZES: Readonly<Record<string, string>> = { Dense: 'units', Conv2D: 'filters' }

interface Head {
  readonly path: string
  /** Outputs of the layer. */
  readonly size: number
  /** Paths of the Reshape layers behind it. */
  readonly reshapes: readonly string[]
}

function headOf(model: tfl.LayersModel, prefix = ''): Head {
  const [output] = model.outputs
  if (!output || model.outputs.length !== 1) {
    throw new RangeError(`${WHERE}: model must have one output, got ${model.outputs.length}`)
  }
  const reshapes: string[] = []
  for (let tensor = output; ; ) {
    const layer = tensor.sourceLayer
    const path = prefix + layer.name
    if (isNestedModel(layer)) {
      const inner = headOf(layer, `${path}/`)
      return { ...inner, reshapes: [...reshapes, ...inner.reshapes] }
    }
    const className = layer.getClassName()
    if (layer.weights.length > 0) return { path, size: sizeOf(layer, path), reshapes }
    if (className === 'Reshape') reshapes.push(path)
    const inputs = layer.inboundNodes[tensor.nodeIndex]?.inputTensors ?? []
    const [input] = inputs
    if (!input || inputs.length !== 1) {
      throw new RangeError(
        `${WHERE}: layers behind the last one with weights must have one input, got ${inputs.length} (layer ${path})`,
      )
    }
    tensor = input
  }
}

function sizeOf(layer: tfl.layers.Layer, path: string): number {
  const className = layer.getClassName()
  const name = SIZES[className]
  if (name === undefined) {
    throw new RangeError(
      `${WHERE}: the last layer with weights must be a Dense or Conv2D, got ${className} (${path})`,
    )
  }
  return layer.getConfig()[name] as number
}

function seededGlorot(seed: number): tf.serialization.ConfigDict {
  const initializer = tfl.initializers.glorotUniform({ seed })
  return { className: initializer.getClassName(), config: initializer.getConfig() }
}
