/** What a recipe adds to the options of a network: which network they are for, and whether it has one output. */
export interface RecipeMarks {
  readonly kind?: 'wide-resnet' | 'two-layer' | 'sample-moe' | 'sample-networks'
  /** Two classes told apart by the sign of one output. */
  readonly oneLogit?: boolean
}

/**
 * Checks that options from a recipe are given to the network that they are for.
 *
 * @param where the caller's name, for errors
 * @throws RangeError when they are for another network, or for one output where `numClasses` asks for more
 */
export function checkRecipeMarks(
  where: string,
  kind: NonNullable<RecipeMarks['kind']>,
  options: RecipeMarks & { readonly numClasses: number },
): void {
  if (options.kind !== undefined && options.kind !== kind) {
    throw new RangeError(`${where}: kind must be '${kind}', got ${JSON.stringify(options.kind)}`)
  }
  if (options.oneLogit && options.numClasses !== 1) {
    throw new RangeError(`${where}: numClasses must be 1 where oneLogit is true, got ${options.numClasses}`)
  }
}
