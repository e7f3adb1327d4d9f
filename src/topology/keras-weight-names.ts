import { isPlainObject } from './json-value.js'
import type { LayerTopology } from './keras-topology.js'

/**
 * Translates names of weights: Keras 3 writes the whole path, `sequential/conv2d/kernel`, where tfjs-layers has
 * `conv2d/kernel`, and tfjs-layers calls the kernel of a depthwise convolution `depthwise_kernel`.
 *
 * @param topology of the whole model
 * @returns a function from the name in the file to the name in the built model; it returns a name that contains no
 *   layer of the model as it is
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
  for (const layer of layersWithin(topology))
    classes.set(String(layer.config.name ?? layer.name), layer.class_name)
  return classes
}

function modelNames(topology: LayerTopology): string[] {
  return [topology, ...layersWithin(topology)]
    .filter(({ config }) => Array.isArray(config.layers))
    .map(({ config, name }) => String(config.name ?? name))
}

function layersWithin({ config }: LayerTopology): LayerTopology[] {
  const layers = Array.isArray(config.layers) ? (config.layers as LayerTopology[]) : []
  return layers.filter(isPlainObject).flatMap(layer => [layer, ...layersWithin(layer)])
}
