import type * as tf from '@tensorflow/tfjs-core'
import type { Size2D } from '../../../shapes.js'
import type { Expert } from './expert.js'

/** Which experts a layer has, and their settings; plain data, as a layer's configuration stores it. */
export interface ExpertSettings extends tf.serialization.ConfigDict {
  readonly kind: string
}

/** The sizes that experts must fit, and the seed of their layer. */
export interface ExpertFrame {
  readonly numExperts: number
  /** Output channels of all experts together. */
  readonly filters: number
  /** h, w of a patch, pixels. */
  readonly patchSize: Size2D
  readonly seed: number | undefined
}

/** Makes experts from their settings. */
export type ExpertMaker = (settings: ExpertSettings, frame: ExpertFrame) => Expert

const makers = new Map<string, ExpertMaker>()

/**
 * Adds a kind of experts, which a `PatchMoE` then takes by its name: `expert: { kind, ...settings }`.
 *
 * @throws RangeError when the name is taken
 */
export function registerExpert(kind: string, make: ExpertMaker): void {
  if (makers.has(kind)) throw new RangeError(`registerExpert: kind must be a new one, got '${kind}'`)
  makers.set(kind, make)
}

/**
 * Makes the experts of a layer.
 *
 * @param where the layer's class name
 * @throws RangeError when the kind is not registered, or the experts do not have the frame's number of outputs for each
 *   pixel
 */
export function expertsOf(settings: ExpertSettings, frame: ExpertFrame, where: string): Expert {
  const make = makers.get(settings.kind)
  if (!make) {
    const names = [...makers.keys()].map(name => `'${name}'`).join(', ') || 'none'
    throw new RangeError(
      `${where}: expert.kind must be one that is registered, got ${JSON.stringify(settings.kind)} (registered: ${names})`,
    )
  }
  const experts = make(settings, frame)
  const filtersEach = frame.filters / frame.numExperts
  if (experts.outputsOf === 'pixels' && experts.size === filtersEach) return experts
  throw new RangeError(
    `${where}: expert must have ${filtersEach} outputs for each pixel, got ${experts.size} for each of its ${experts.outputsOf}`,
  )
}
