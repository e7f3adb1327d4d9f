import type { OptionNames } from '../known-options.js'
import type { Graph } from './graph/graph.js'

/** What is known of a model besides its layers. */
export interface ModelFacts {
  /** Names of the classes, in the order of the outputs. */
  readonly classNames?: readonly string[]
  /** What is done to pixels before the model sees them, `x / 255`; left out of the file unless given. */
  readonly preprocessing?: string
  /** What the first layer of the model makes of pixels of 0..1, by its name, `imagenet`. */
  readonly inputScaling?: string
  /** Version of this library that wrote the file. */
  readonly version?: string
}

/** The names of {@link ModelFacts}. */
export const factNames = {
  classNames: true,
  preprocessing: true,
  inputScaling: true,
  version: true,
} as const satisfies OptionNames<ModelFacts>

/**
 * What an exported file says of itself: texts by name.
 *
 * `inputs` is a JSON object that gives for each input its axes, its element type and its preprocessing.
 */
export function metadataOf(graph: Graph, facts: ModelFacts): Record<string, string> {
  const inputs = graph.inputs.map(({ name, value, layout }) => {
    if (value.type === 'int') {
      return [
        name,
        { axes: '', dtype: 'int', meaning: 'patches that each expert keeps, at least 1' },
      ] as const
    }
    const isMap = value.shape.length === 4
    const bytes = value.type === 'uint8'
    return [
      name,
      {
        axes: isMap
          ? layout === 'nhwc'
            ? 'batch,height,width,channels'
            : 'batch,channels,height,width'
          : 'batch,...',
        dtype: bytes ? 'uint8' : 'float32',
        ...(bytes
          ? { preprocessing: 'none: pixels 0..255, RGB or grey; the network divides them by 255' }
          : facts.preprocessing !== undefined && { preprocessing: facts.preprocessing }),
      },
    ] as const
  })
  return {
    producer: facts.version === undefined ? 'patch-moe' : `patch-moe ${facts.version}`,
    inputs: JSON.stringify(Object.fromEntries(inputs)),
    ...(facts.inputScaling !== undefined && { input_scaling: facts.inputScaling }),
    ...(facts.classNames && { classes: JSON.stringify(facts.classNames) }),
  }
}
