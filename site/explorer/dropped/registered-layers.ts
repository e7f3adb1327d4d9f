import * as tf from '@tensorflow/tfjs-core'
import '../../../src/layers/batch-norm.js'
import { InputScaling } from '../../../src/layers/input-scaling.js'
import { PatchExperts } from '../../../src/layers/moe/patch-experts.js'
import { PatchGate } from '../../../src/layers/moe/patch-gate.js'
import { PatchMoE } from '../../../src/layers/moe/patch-moe.js'
import { SampleExperts } from '../../../src/layers/moe/sample-experts.js'
import { SampleMoE } from '../../../src/layers/moe/sample-moe.js'
import { TwoLayerExperts } from '../../../src/layers/moe/two-layer-experts.js'

/**
 * Registers the layers that saved networks are made of. Their modules do that, too, but a bundler may think that these have no
 * effect.
 */
export function registerLayers(): void {
  for (const layer of [InputScaling, PatchGate, PatchMoE, SampleMoE, TwoLayerExperts]) {
    tf.serialization.registerClass(layer)
  }
  for (const layer of [PatchExperts, SampleExperts]) tf.serialization.registerClass(layer as never)
}
