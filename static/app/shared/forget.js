// Who signs in or out leaves nothing behind that pages of this tab kept: see catalogue/chosen.js.
sessionStorage.clear();
