import type * as tfl from '@tensorflow/tfjs-layers'

/** Whether a weight is a moving mean or variance of a normalization, which training updates without a gradient. */
export function isMovingStatistic({ originalName }: Pick<tfl.LayerVariable, 'originalName'>): boolean {
  return /(^|\/)moving_(mean|variance)$/.test(originalName)
}

/** Whether a layer normalises by moving statistics. */
export function followsStatistics(layer: tfl.layers.Layer): boolean {
  return layer.weights.filter(isMovingStatistic).length >= 2
}
