/**
 * An npm package that users may leave out.
 *
 * @param load imports it
 * @returns undefined where it is not installed
 * @throws what importing it throws
 */
export async function ifInstalled<Module>(load: () => Promise<Module>): Promise<Module | undefined> {
  try {
    return await load()
  } catch (error) {
    if (isNotInstalled(error)) return undefined
    throw error
  }
}

/** Why such a package cannot be imported, as a reason for going without it. */
export function whyNotImported(packageName: string, error: unknown): string {
  return isNotInstalled(error)
    ? `the npm package ${packageName} is not installed`
    : `${packageName} cannot be imported: ${(error as Error).message}`
}

function isNotInstalled(error: unknown): boolean {
  return (error as { readonly code?: string }).code === 'ERR_MODULE_NOT_FOUND'
}
