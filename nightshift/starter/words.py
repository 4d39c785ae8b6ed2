"""Names that logs give to their columns, words for behaviours, and ways to write a time or a number."""

from __future__ import annotations

import re

from contracts.columns import Columns as C

EVENT_NAMES: dict[str, str] = {
    C.USER_ID: """
        userid customerid visitorid clientid memberid householdid buyerid shopperid accountid uid custid personid user
        customer visitor client member household buyer who whoid kundennummer kunde cardnumber loyaltyid cliente klant
        utilisateur usuario utente""",
    C.ITEM_ID: """
        itemid productid stockcode sku articleid asin movieid isbn ean upc gtin variantid productcode itemcode
        artikelnummer item product article parentasin whatid whatsku material artikel produkt produit producto prodotto
        goods""",
    C.EVENT_TIME: """
        eventtime timestamp datetime time ts invoicedate orderdate purchasedate transactiondate transactiontimestamp
        createdat occurredat eventtimestamp tdat orderedat date at when unixtime unixreviewtime saledate datum day fecha
        data zeitpunkt bestelldatum rechnungsdatum datecommande datetimeutc eventdate visitdate reviewtime""",
    C.EVENT_TYPE: """
        eventtype event behaviour behavior behaviortype behaviourtype action eventname activity type kind actiontype
        interaction interactiontype""",
    C.QUANTITY: """
        quantity qty units count pieces amountofitems menge numitems quantite cantidad quantita quantidade anzahl
        aantal stueck stuck unitssold""",
    C.PRICE: """
        price unitprice itemprice priceperunit preis sellingprice einzelpreis stueckpreis prix prixunitaire precio
        preciounitario prezzo preco prijs""",
    C.RATING: """
        rating ratings stars star overall score reviewrating userrating starrating reviewscore bookrating movierating
        ratingvalue bewertung sterne puntuacion calificacion valoracion avaliacao voto""",
    "value": """
        value total linetotal totalprice salesvalue amount revenue sales lineamount turnover umsatz betrag gesamtpreis
        montant importe summe""",
    C.SESSION_ID: """
        sessionid usersession session basketid basket orderid orderno order invoiceno invoice invoiceid transactionid
        transaction visitid cartid receiptid ticketid bestellung rechnung commande pedido bon beleg""",
}
"""Names of each field's column as `guess.plain` has them, the likeliest first."""

EVENT_NOUNS: dict[str, str] = {
    C.USER_ID: """
        user customer cust visitor client member household buyer shopper account person reviewer guest subscriber player
        listener reader viewer device cookie profile kunden kunde klant cliente utilisateur usuario utente""",
    C.ITEM_ID: """
        item product prod article sku movie film book song track game news goods artikel produkt produit producto
        prodotto material offer content recipe restaurant business listing video course variant stock art anime""",
    C.SESSION_ID: """
        session basket order invoice transaction trans visit cart receipt ticket bestell bestellung bestellungs rechnung
        rechnungs auftrag auftrags commande pedido bon beleg""",
}
"""What is left of a name, such as `reviewerID`, without what stands for an id at its end."""

ID_ENDINGS = re.compile(r"(id|ids|key|nr|no|num|number|nummer|numero|code|hash|uuid)$")

ITEM_NAMES: dict[str, str] = {
    C.TITLE: """
        title productname itemname prodname name producttitle articlename artikelbezeichnung bezeichnung artikelname
        produktname libelle nombre nome trackname songname""",
    C.DESCRIPTION: """
        description detaildesc productdescription longdescription details descriptionlong beschreibung descripcion
        descrizione itemdescription""",
    C.DEPARTMENT: "department departmentname maincategory section sectionname division abteilung",
    C.CATEGORY: """
        category categorycode productcategory categoryname genres productgroupname categories group kategorie
        warengruppe categorie categoria genre categoryid""",
    C.PRODUCT_TYPE: "producttype producttypename subcategory subcategoryname itemtype class",
    C.BRAND: "brand brandname manufacturer vendor maker marke hersteller marque marca artistname author",
    C.SIZE: "size packagesize packsize volume weight",
    C.PRICE: "price unitprice listprice itemprice preis einzelpreis prix precio prezzo",
    C.AVAILABLE: "available availability instock isavailable active",
}
"""The same for the catalogue."""

WORDS: dict[str, str] = {
    "purchase": """
        purchase buy bought transaction order ordered sale sold checkout pay paid purchased conversion
        kauf achat compra""",
    "cart": "cart addtocart cartadd basket addtobasket incart addcart atc",
    "view": """
        view pv pageview click clicked detail detailpageview viewitem viewed impression browse productview itemview
        productdetail play listen read watch""",
    "rating": "rating rate review rated like liked fav favorite favourite wishlist addtowishlist",
    "return": "return returned refund refunded",
    "cancellation": "cancel cancelled canceled cancellation removefromcart cartremove",
}
"""Words for each behaviour, letters and digits only."""

DATES = {
    "yyyy-MM-dd": "%Y-%m-%d",
    "M/d/yyyy": "%m/%d/%Y",
    "d/M/yyyy": "%d/%m/%Y",
    "d.M.yyyy": "%d.%m.%Y",
    "yyyy/M/d": "%Y/%m/%d",
    "M/d/yy": "%m/%d/%y",
    "d/M/yy": "%d/%m/%y",
    "d.M.yy": "%d.%m.%y",
    "d-M-yyyy": "%d-%m-%Y",
    "yyyyMMdd": "%Y%m%d",
    "d MMM yyyy": "%d %b %Y",
    "d-MMM-yyyy": "%d-%b-%Y",
    "MMM d, yyyy": "%b %d, %Y",
}
TIMES = {
    " H:mm:ss": " %H:%M:%S",
    " H:mm": " %H:%M",
    " h:mm:ss a": " %I:%M:%S %p",
    " h:mm a": " %I:%M %p",
    "'T'H:mm:ss": "T%H:%M:%S",
    "": "",
}
"""Patterns of Java with what reads the same in Python."""

NUMBERS = {
    "{}": r"[-+]?\d*\.?\d+(e[-+]?\d+)?",
    "replace({}, ',', '.')": r"[-+]?\d+(,\d{1,2})?",
    "replace(replace({}, '.', ''), ',', '.')": r"[-+]?\d{1,3}(\.\d{3})*(,\d+)?",
    "replace({}, ',', '')": r"[-+]?\d{1,3}(,\d{3})*(\.\d+)?",
}
"""How numbers are written, and the expression that reads them; the first that fits."""

CURRENCY = re.compile(r"^[-+]?\s*(?:[€$£¥]|EUR|USD|GBP)\s*(?=[-+.\d])|(?<=\d)\s*(?:[€$£¥]|EUR|USD|GBP)$")
"""The sign or the name of a currency, before or after a number."""
WITHOUT_CURRENCY = "regexp_replace({}, '[^0-9.,+-]', '')"
