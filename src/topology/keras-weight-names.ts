import { isPlainObject } from './json-value.js'
import type { LayerTopology } from './keras-topology.js'

/**
 * What tfjs-layers calls a weight that Keras 3 names by its path: `sequential/conv2d/kernel` is its `conv2d/kernel`,
 * and the kernel of a depthwise convolution has a name of its own.
 *
 * @param topology of the whole model
 * @returns from the name in the file to that of the built model; names that no layer begins are left as they are
 */
export function kerasWeightName(topology: LayerTopology): (name: string) => string {
  const classes = layerClasses(topology)
  const models = new Set(modelNames(topology))
  return name => {
    const parts = name.split('/')
    const first = parts.findIndex(part => !models.has(part))
    const layer = parts[first]
    if (layer === undefined || !classes.has(layer) || first === parts.length - 1) return name
    const [weight, ...inner] = parts.slice(first + 1)
    const isDepthwise = classes.get(layer) === 'DepthwiseConv2D' && weight === 'kernel' && inner.length === 0
    return [layer, isDepthwise ? 'depthwise_kernel' : weight, ...inner].join('/')
  }
}

function layerClasses(topology: LayerTopology): Map<string, string> {
  const classes = new Map<string, string>()
  for (const layer of within(topology)) classes.set(String(layer.config.name ?? layer.name), layer.class_name)
  return classes
}

function modelNames(topology: LayerTopology): string[] {
  return [topology, ...within(topology)]
    .filter(({ config }) => Array.isArray(config.layers))
    .map(({ config, name }) => String(config.name ?? name))
}

function within({ config }: LayerTopology): LayerTopology[] {
  const layers = Array.isArray(config.layers) ? (config.layers as LayerTopology[]) : []
  return layers.filter(isPlainObject).flatMap(layer => [layer, ...within(layer)])
}
