import { ssrRenderAttrs } from "vue/server-renderer";
import { useSSRContext } from "vue";
import { _ as _export_sfc } from "./plugin-vue_export-helper.1tPrXgE0.js";
const __pageData = JSON.parse('{"title":"Explorer","description":"","frontmatter":{"layout":"page","sidebar":false,"program":"explorer","title":"Explorer"},"headers":[],"relativePath":"explorer.md","filePath":"explorer.md"}');
const _sfc_main = { name: "explorer.md" };
function _sfc_ssrRender(_ctx, _push, _parent, _attrs, $props, $setup, $data, $options) {
  _push(`<div${ssrRenderAttrs(_attrs)}><h1 id="explorer" tabindex="-1">Explorer <a class="header-anchor" href="#explorer" aria-label="Permalink to &quot;Explorer&quot;">​</a></h1><p>Drop the folder of a trained network here, and images: see what its experts keep, what is lost without a patch, and what fewer patches change. All is computed in this page; pmoe explore shows the same of a run on your disk.</p></div>`);
}
const _sfc_setup = _sfc_main.setup;
_sfc_main.setup = (props, ctx) => {
  const ssrContext = useSSRContext();
  (ssrContext.modules || (ssrContext.modules = /* @__PURE__ */ new Set())).add("explorer.md");
  return _sfc_setup ? _sfc_setup(props, ctx) : void 0;
};
const explorer = /* @__PURE__ */ _export_sfc(_sfc_main, [["ssrRender", _sfc_ssrRender]]);
export {
  __pageData,
  explorer as default
};
