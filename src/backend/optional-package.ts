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
    if ((error as NodeJS.ErrnoException).code === 'ERR_MODULE_NOT_FOUND') return undefined
    throw error
  }
}
