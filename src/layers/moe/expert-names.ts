import type * as tf from '@tensorflow/tfjs-core'

/**
 * Reads the names of a layer's experts.
 *
 * @param names as the option gives them; without it the experts are named by their numbers, '0', '1', ...
 * @param where the layer's class name
 * @throws RangeError when there is not one text for each expert, or two are the same
 */
export function expertNamesOf(
  names: readonly string[] | undefined,
  numExperts: number,
  where: string,
): readonly string[] {
  if (names === undefined || names === null) return numbered(numExperts)
  const isList = Array.isArray(names) && names.every(name => typeof name === 'string' && name !== '')
  if (isList && names.length === numExperts && new Set(names).size === numExperts) return [...names]
  throw new RangeError(
    `${where}: expertNames must be ${numExperts} different names, one for each expert, got ${JSON.stringify(names)}`,
  )
}

/** The names as a layer's configuration stores them: left out where they are the experts' numbers. */
export function expertNamesConfig(names: readonly string[]): tf.serialization.ConfigDict {
  const areNumbers = numbered(names.length).every((number, expert) => number === names[expert])
  return areNumbers ? {} : { expertNames: [...names] }
}

function numbered(count: number): readonly string[] {
  return Array.from({ length: count }, (_, expert) => String(expert))
}
