# Writes OUT/pages.S (the bytes) and OUT/pages.cpp (the table of src/daemon/embedded_pages.hpp) for every file below PAGES, or below
# FALLBACK when PAGES holds no index.html. What a browser alone fetches is stored as gzip -9; the page itself stays plain, so that
# any client can read it. Files whose content has not changed are not touched.
cmake_minimum_required(VERSION 3.25)

if(EXISTS ${PAGES}/index.html)
  set(root ${PAGES})
else()
  set(root ${FALLBACK})
endif()

set(type_html "text/html; charset=utf-8")
set(type_js "text/javascript; charset=utf-8")
set(type_css "text/css; charset=utf-8")
set(type_svg "image/svg+xml")
set(type_json "application/json")
set(type_txt "text/plain; charset=utf-8")
set(type_png "image/png")
set(type_woff2 "font/woff2")
set(packed_types js css svg json txt)

function(write_if_changed file text)
  if(EXISTS ${file})
    file(READ ${file} old)
    if(old STREQUAL text)
      return()
    endif()
  endif()
  file(WRITE ${file} "${text}")
endfunction()

file(GLOB_RECURSE files RELATIVE ${root} ${root}/*)
list(SORT files)
set(assembly "    .section .rodata\n")
set(declarations "")
set(rows "")
set(index 0)
set(kept "")
foreach(file IN LISTS files)
  if(file MATCHES "[^A-Za-z0-9._/-]")
    message(FATAL_ERROR "${root}/${file}: a page's name may hold letters, digits, '.', '_' and '-' only")
  endif()
  string(REGEX REPLACE "^.*\\." "" extension ${file})
  if(NOT DEFINED type_${extension})
    message(FATAL_ERROR "${root}/${file}: no content type is known for '.${extension}'; add it to web/embed.cmake")
  endif()
  set(stored ${OUT}/files/${index})
  file(MAKE_DIRECTORY ${OUT}/files)
  if(extension IN_LIST packed_types)
    execute_process(COMMAND gzip -9nc ${root}/${file} OUTPUT_FILE ${stored} COMMAND_ERROR_IS_FATAL ANY)
    set(packed true)
  else()
    file(COPY_FILE ${root}/${file} ${stored})
    set(packed false)
  endif()
  # The hash makes the assembler run again when the bytes change: it is not told of .incbin.
  file(SHA256 ${stored} hash)
  set(begin ramet_page_${index}_begin)
  set(end ramet_page_${index}_end)
  string(APPEND assembly "    /* ${file} ${hash} */\n    .global ${begin}\n${begin}:\n    .incbin \"${stored}\"\n    .global ${end}\n${end}:\n")
  string(APPEND declarations "extern \"C\" const char ${begin}[];\nextern \"C\" const char ${end}[];\n")
  # Vite writes a hash of the content into the names below assets/.
  if(file MATCHES "^assets/.*-[A-Za-z0-9_-]+\\.[a-z0-9]+$")
    set(immutable true)
  else()
    set(immutable false)
  endif()
  string(APPEND rows "    {\"/${file}\", \"${type_${extension}}\", ${begin}, ${end}, ${immutable}, ${packed}},\n")
  math(EXPR index "${index} + 1")
endforeach()
string(APPEND assembly "    .section .note.GNU-stack,\"\",%progbits\n")

write_if_changed(${OUT}/pages.S "${assembly}")
write_if_changed(${OUT}/pages.cpp "// Generated from ${root}.
#include \"daemon/embedded_pages.hpp\"

${declarations}
namespace ramet::daemon {

static const EmbeddedPage kPages[] = {
${rows}};

std::span<const EmbeddedPage> embedded_pages() { return kPages; }

}  // namespace ramet::daemon
")
