type Child = Node | string
type Listener = (event: Event) => void

/** Attributes by name; `on...` are listeners, false and undefined leave an attribute out, true gives it no value. */
export type Attributes = Readonly<Record<string, string | number | boolean | Listener | undefined>>

/** Makes an element. Text becomes text, whatever it holds. */
export function element<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  attributes: Attributes = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[Tag] {
  const made = document.createElement(tag)
  setAttributes(made, attributes)
  made.append(...children)
  return made
}

/** Makes an element of a drawing. */
export function drawn<Tag extends keyof SVGElementTagNameMap>(
  tag: Tag,
  attributes: Attributes = {},
  ...children: readonly Child[]
): SVGElementTagNameMap[Tag] {
  const made = document.createElementNS('http://www.w3.org/2000/svg', tag)
  setAttributes(made, attributes)
  made.append(...children)
  return made
}

function setAttributes(made: Element, attributes: Attributes): void {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'function') made.addEventListener(name.slice(2), value)
    else if (value !== undefined && value !== false)
      made.setAttribute(name, value === true ? '' : String(value))
  }
}

/** Changes the text of an element only where it differs, so that nothing is laid out anew. */
export function setText(target: Element, text: string): void {
  if (target.textContent !== text) target.textContent = text
}
