import type { ExportFormatEntry } from './export-format.js'
import { onnx } from './onnx.js'
import { savedModel } from './saved-model.js'
import { tfjs } from './tfjs.js'
import { weights } from './weights.js'

/** Every format by its name on the command line. A new one is one file and one line here; its bytes are of `src/export`. */
export const exportFormats = { tfjs, onnx, savedmodel: savedModel, weights } as const

/** Formats by their names on the command line. */
export type ExportFormatTable = Readonly<Record<string, ExportFormatEntry>>

/**
 * The format of a name.
 *
 * @param table the formats among which it is
 * @throws RangeError listing the names when there is none
 */
export function exportFormat(name: string, table: ExportFormatTable = exportFormats): ExportFormatEntry {
  const entry = Object.hasOwn(table, name) ? table[name] : undefined
  if (entry) return entry
  throw new RangeError(`export: format must be one of ${Object.keys(table).join(', ')}, got ${name}`)
}

/** The names of the formats that have a property, in the order of the table. */
export function formatNames(
  table: ExportFormatTable,
  has: (entry: ExportFormatEntry) => boolean = () => true,
): string[] {
  return Object.keys(table).filter(name => has(exportFormat(name, table)))
}
