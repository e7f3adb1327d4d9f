import type * as tfl from '@tensorflow/tfjs-layers'
import { layersWithin } from '../layers/layer-paths.js'
import { deriveSeed } from '../random.js'

/** Gives the dropout layers of a model their seeds, step by step. */
export interface DropoutSeeds {
  /** Sets the seeds of the step with this number. */
  use(step: number): void
  /** Gives every layer back the seed it had. */
  restore(): void
}

/**
 * Derives the seeds of a model's dropout layers from one seed and the number of the step.
 *
 * tfjs draws the mask of a dropout layer from `Math.random` when it has no seed, and draws the same mask in every
 * step when it has one. With these seeds masks differ from step to step and are the same in a repeated or resumed
 * run. Layers of the classes `Dropout` and `SpatialDropout1D` take part, in nested models too; the noise layers of
 * tfjs cannot be seeded.
 *
 * @param seed of the run
 * @param purpose names the stream, as in `deriveSeed`
 */
export function dropoutSeeds(model: tfl.LayersModel, seed: number, purpose: string): DropoutSeeds {
  const layers = layersWithin(model).filter(isDropout)
  const before = layers.map(layer => layer.seed)
  return {
    use: step => {
      for (const [index, layer] of layers.entries()) {
        layer.seed = deriveSeed(seed, `${purpose} ${index} ${step}`)
      }
    },
    restore: () => {
      for (const [index, layer] of layers.entries()) layer.seed = before[index]
    },
  }
}

/** tfjs keeps the seed in a field that its type declarations call private. */
interface SeededLayer {
  seed: number | undefined
}

function isDropout(layer: object): layer is tfl.layers.Layer & SeededLayer {
  const name = (layer as tfl.layers.Layer).getClassName()
  return name === 'Dropout' || name === 'SpatialDropout1D'
}
