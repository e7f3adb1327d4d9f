import * as tfl from '@tensorflow/tfjs-layers'

/**
 * The model from an input, or several, to a class: its one logit, or through the softmax 'probabilities' the probabilities of several.
 *
 * @param logits (B,outputs)
 */
export function classifier(
  input: tfl.SymbolicTensor | tfl.SymbolicTensor[],
  logits: tfl.SymbolicTensor,
  name: string,
): tfl.LayersModel {
  if (logits.shape.at(-1) === 1) return tfl.model({ inputs: input, outputs: logits, name })
  const probabilities = tfl.layers.softmax({ name: 'probabilities' }).apply(logits) as tfl.SymbolicTensor
  return tfl.model({ inputs: input, outputs: probabilities, name })
}
