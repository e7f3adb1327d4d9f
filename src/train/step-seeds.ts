import type * as tfl from '@tensorflow/tfjs-layers'
import { allLayersWithin } from '../layers/layer-paths.js'
import { deriveSeed } from '../random.js'

/** Gives the layers of a model that draw random numbers their seeds, step by step. */
export interface StepSeeds {
  /** Sets the seeds of the step with this number. */
  use(step: number): void
  /** Gives every layer back the seed it had. */
  restore(): void
}

/** A layer that draws random numbers in training and takes its seed from a run. */
export interface StepSeeded extends tfl.layers.Layer {
  /**
   * Sets the seed of what the layer draws from now on.
   *
   * @param seed an unsigned 32-bit integer; undefined when the run has ended, after which the layer seeds itself
   */
  useStepSeed(seed: number | undefined): void
}

/**
 * Derives the seeds of a model's layers that draw random numbers from one seed and the number of the step.
 *
 * tfjs draws the mask of a dropout layer from `Math.random` when it has no seed, and draws the same mask in every
 * step when it has one. With these seeds what is drawn differs from step to step and is the same in a repeated or resumed
 * run. Layers of the classes `Dropout` and `SpatialDropout1D`, and layers with a method `useStepSeed`, take part, in nested
 * models too; the noise layers of tfjs cannot be seeded.
 *
 * @param seed of the run
 * @param purpose names the stream, as in `deriveSeed`
 */
export function stepSeeds(model: tfl.LayersModel, seed: number, purpose: string): StepSeeds {
  const seeded = allLayersWithin(model).flatMap(layer => {
    const setSeed = seedSetter(layer)
    return setSeed ? [setSeed] : []
  })
  return {
    use: step => {
      for (const [index, { set }] of seeded.entries()) set(deriveSeed(seed, `${purpose} ${index} ${step}`))
    },
    restore: () => {
      for (const { set, before } of seeded) set(before)
    },
  }
}

/** How a layer takes its seed, and the one it has; undefined for layers that draw nothing. */
interface SeedSetter {
  readonly before: number | undefined
  set(seed: number | undefined): void
}

function seedSetter(layer: tfl.layers.Layer): SeedSetter | undefined {
  if (isStepSeeded(layer)) return { before: undefined, set: seed => layer.useStepSeed(seed) }
  if (!isDropout(layer)) return undefined
  return {
    before: layer.seed,
    set: seed => {
      layer.seed = seed
    },
  }
}

function isStepSeeded(layer: tfl.layers.Layer): layer is StepSeeded {
  return 'useStepSeed' in layer && typeof layer.useStepSeed === 'function'
}

/** tfjs keeps the seed in a field that its type declarations call private. */
interface SeededLayer {
  seed: number | undefined
}

function isDropout(layer: object): layer is tfl.layers.Layer & SeededLayer {
  const name = (layer as tfl.layers.Layer).getClassName()
  return name === 'Dropout' || name === 'SpatialDropout1D'
}
